"""Signed releases: a git tag whose message lists the SHA-256 of every recorded file, made and checked.

The tag is signed with an ssh key. To check it is to follow the whole chain: the signature is one of an allowed signer,
the files that git tracks here are those of the tag, hence dvc.lock too, and every recorded file here has the MD5 that
dvc.lock says and the SHA-256 that was signed. docs/security.md says what an allowed-signers file is.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, plural, some
from lockstep.kernel.lock_file import LOCK_FILE, read_lock, recorded_files
from lockstep.provenance.verifying import check_files
from lockstep.repository import git
from lockstep.repository.hashes import digest

_TITLE = "SHA-256 of the data, models and metrics:"
SIGNATURE = "-----BEGIN SSH SIGNATURE-----"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
# Whatever the repository's own configuration says.
_SSH = ["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen"]


def sign_release(tag: str, key: Path, root: Path = Path()) -> str:
    """Make the tag; return a sentence that says what was signed.

    Raises:
        SettingsError: the name is not one for a tag, or taken.
        IntegrityError: what is here is not what was committed, or not what dvc.lock records.
        MachineError: git cannot sign.
    """
    _check_name(tag)
    if git.run("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}", root=root).returncode == 0:
        raise SettingsError(f"there is a tag '{tag}' already. Give another name: a released one is never moved.")
    commit = git.output("rev-parse", "HEAD", root=root).strip()
    _check_tree(commit, root, "the last commit", "Commit or undo your changes first: git status")
    paths = _check_recorded(root)
    lines = [f"{digest(root / path, 'sha256')}  {path}" for path in paths]
    message = "\n".join([tag, "", _TITLE, *lines, ""])
    command = ["tag", "--sign", "--cleanup=verbatim", "--file=-", tag, commit]
    done = git.run(*_SSH, "-c", f"user.signingkey={key.expanduser().resolve()}", *command, root=root, stdin=message)
    # Some versions of git make the tag, unsigned, when ssh-keygen fails.
    if done.returncode or SIGNATURE not in git.output("cat-file", "tag", tag, root=root):
        git.run("tag", "--delete", tag, root=root)
        raise MachineError(f"git cannot sign with {key}: {git.reason(done)}. 'ssh-keygen -t ed25519' makes a key.")
    return f"{tag} is signed: commit {commit[:12]}, {len(paths)} recorded files. Publish it: git push origin {tag}"


def verify_release(tag: str, signers: Path, root: Path = Path()) -> str:
    """Check the tag and what it names; return a sentence that says who signed, and what.

    Raises:
        SettingsError: there is no such tag.
        DataError: there is no file of allowed signers.
        IntegrityError: anything is not as it was signed, or was not signed by an allowed signer.
    """
    _check_name(tag)
    if not signers.is_file():
        raise DataError(f"{signers} does not exist. It has a line per signer: me@example.org ssh-ed25519 AAAA...")
    found = git.run("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}", root=root)
    if found.returncode:
        raise SettingsError(f"there is no tag '{tag}' here. Type 'git fetch --tags', or 'git tag' for those there are.")
    number = found.stdout.strip()
    done = git.run(*_SSH, "-c", f"gpg.ssh.allowedSignersFile={signers.resolve()}", "verify-tag", number, root=root)
    if done.returncode:
        raise IntegrityError(
            f"the tag '{tag}' is not signed by anybody in {signers}: {git.reason(done)}. Do not use what it names."
        )
    head, _, message = git.output("cat-file", "tag", number, root=root).partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    if fields["tag"] != tag or fields["type"] != "commit":
        raise IntegrityError(f"the tag '{tag}' was signed as '{fields['tag']}' of a {fields['type']}: it was renamed.")
    _check_tree(fields["object"], root, f"the tag '{tag}'", f"git checkout {tag} && dvc checkout")
    paths = _check_recorded(root)
    message = message.split(SIGNATURE)[0]  # what follows it was not signed
    signed = {match[2]: match[1] for line in message.splitlines() if (match := _LINE.fullmatch(line))}
    if signed and set(signed) != set(paths):
        raise IntegrityError(
            f"dvc.lock records other files than were signed: {some(sorted(set(signed) ^ set(paths)))}."
        )
    wrong = [path for path, sha256 in signed.items() if digest(root / path, "sha256") != sha256]
    if wrong:
        raise IntegrityError(f"these files are not those that were signed: {some(wrong)}. Do not use them.")
    good = re.search(r'Good "git" signature for (.+)', done.stderr)
    who = good[1] if good else "an allowed signer"
    how = "by SHA-256" if signed else "by MD5 only, since the tag lists no SHA-256"
    return f"{tag} is signed by {who}; {len(paths)} recorded files are as signed, {how}."


def _check_name(tag: str) -> None:
    if tag.startswith("-") or git.run("check-ref-format", f"refs/tags/{tag}").returncode:
        raise SettingsError(f"'{tag}' is not a name for a tag. For instance: v1.0.")


def _check_recorded(root: Path) -> list[str]:
    """Check all recorded files; return their paths, sorted. Raises IntegrityError unless all are as recorded."""
    files = recorded_files(read_lock(root / LOCK_FILE), root)
    wrong = [f"{one.subject} ({one.state})" for one in check_files(files.values(), root)]
    if wrong:
        raise IntegrityError(
            f"{len(wrong)} recorded files are not as dvc.lock says: {some(wrong)}. Type 'python -m lockstep verify'."
        )
    return sorted(files)


def _check_tree(commit: str, root: Path, what: str, remedy: str) -> None:
    """Raise IntegrityError unless every file of the commit is here with the same bytes.

    git itself would go by sizes and times, and by what the index says.
    """
    wrong = [path for path, number in _blobs(commit, root) if _blob(root / path, len(number)) != number]
    if wrong:
        raise IntegrityError(f"{plural(len(wrong), 'file')} not as in {what}: {some(wrong)}. {remedy}.")


def _blobs(commit: str, root: Path) -> Iterator[tuple[str, str]]:
    """(path from ``root``, the object's number) of each file that a commit has in that folder, git's root or not."""
    for entry in git.output("ls-tree", "-r", "-z", commit, root=root).split("\0"):
        if entry:
            attributes, path = entry.split("\t", 1)
            yield path, attributes.split()[2]


def _blob(path: Path, digits: int) -> str | None:
    """The number that git gives a file's bytes (https://git-scm.com/book/en/v2/Git-Internals-Git-Objects)."""
    if path.is_symlink():
        data = str(path.readlink()).encode()
    elif path.is_file():
        data = path.read_bytes()
    else:
        return None
    algorithm = "sha1" if digits == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
