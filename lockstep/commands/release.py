"""``python -m lockstep release sign TAG --key KEY`` and ``release verify TAG --allowed-signers FILE``.

``sign`` makes a git tag of the current commit, signed with an ssh key, whose message lists the SHA-256 of every table,
model and metric that dvc.lock and the .dvc files record. ``verify`` follows the whole chain: the signature is one of
an allowed signer, the files that git tracks here are those of the tag, hence dvc.lock too, and every recorded file here
has the MD5 that dvc.lock says and the SHA-256 that was signed. docs/security.md says what an allowed-signers file is.
"""

import argparse
import hashlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from lockstep.commands.verify import check_files
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, some
from lockstep.kernel.lock_file import read_lock, recorded_files
from lockstep.repository.hashes import digest

TITLE = "SHA-256 of the data, models and metrics:"
SIGNATURE = "-----BEGIN SSH SIGNATURE-----"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
# Whatever the repository's own configuration says.
_SSH = ["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen"]


def main(argv: Sequence[str] | None = None) -> int:
    """Sign or verify. Raises LockstepError."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    signing = commands.add_parser("sign", help="tag the current commit")
    verifying = commands.add_parser("verify", help="check a tag, and all that is here against it")
    for command in (signing, verifying):
        command.add_argument("tag", help="its name, such as v1.0")
        command.add_argument(
            "--repository", type=Path, default=Path(), metavar="FOLDER", help="another clone (default: this one)"
        )
    signing.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="your ssh key, such as ~/.ssh/id_ed25519"
    )
    verifying.add_argument("--allowed-signers", type=Path, required=True, metavar="FILE", help="whose signatures count")
    args = parser.parse_args(argv)
    if args.command == "sign":
        print(sign(args.tag, args.key, args.repository))
    else:
        print(verify(args.tag, args.allowed_signers, args.repository))
    return 0


def sign(tag: str, key: Path, root: Path = Path()) -> str:
    """Make the tag; a sentence that says what was signed.

    Raises:
        SettingsError: the name is not one for a tag, or taken.
        IntegrityError: what is here is not what was committed, or not what dvc.lock records.
        MachineError: git cannot sign.
    """
    _check_name(tag)
    if _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}").returncode == 0:
        raise SettingsError(f"there is a tag '{tag}' already. Give another name: a released one is never moved.")
    commit = _output(root, "rev-parse", "HEAD").strip()
    _check_tree(commit, root, "the last commit", "Commit or undo your changes first: git status")
    paths = _check_recorded(root)
    lines = [f"{digest(root / path, 'sha256')}  {path}" for path in paths]
    message = "\n".join([tag, "", TITLE, *lines, ""])
    command = ["tag", "--sign", "--cleanup=verbatim", "--file=-", tag, commit]
    done = _git(root, *_SSH, "-c", f"user.signingkey={key.expanduser().resolve()}", *command, text=message)
    # Some versions of git make the tag, unsigned, when ssh-keygen fails.
    if done.returncode or SIGNATURE not in _output(root, "cat-file", "tag", tag):
        _git(root, "tag", "--delete", tag)
        raise MachineError(f"git cannot sign with {key}: {_last(done)}. 'ssh-keygen -t ed25519' makes a key.")
    return f"{tag} is signed: commit {commit[:12]}, {len(paths)} recorded files. Publish it: git push origin {tag}"


def verify(tag: str, signers: Path, root: Path = Path()) -> str:
    """A sentence that says who signed the tag, and what was found to be as signed.

    Raises:
        SettingsError: there is no such tag.
        DataError: there is no file of allowed signers.
        IntegrityError: anything is not as it was signed, or was not signed by an allowed signer.
    """
    _check_name(tag)
    if not signers.is_file():
        raise DataError(f"{signers} does not exist. It has a line per signer: me@example.org ssh-ed25519 AAAA...")
    found = _git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}")
    if found.returncode:
        raise SettingsError(f"there is no tag '{tag}' here. Type 'git fetch --tags', or 'git tag' for those there are.")
    number = found.stdout.strip()
    done = _git(root, *_SSH, "-c", f"gpg.ssh.allowedSignersFile={signers.resolve()}", "verify-tag", number)
    if done.returncode:
        raise IntegrityError(
            f"the tag '{tag}' is not signed by anybody in {signers}: {_last(done)}. Do not use what it names."
        )
    head, _, message = _output(root, "cat-file", "tag", number).partition("\n\n")
    fields = dict(line.split(" ", 1) for line in head.splitlines())
    if fields["tag"] != tag or fields["type"] != "commit":
        raise IntegrityError(f"the tag '{tag}' was signed as '{fields['tag']}' of a {fields['type']}: it was renamed.")
    _check_tree(fields["object"], root, f"the tag '{tag}'", f"git checkout {tag} && dvc checkout")
    paths = _check_recorded(root)
    message = message.split(SIGNATURE)[0]  # what stands behind it was not signed
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
    if tag.startswith("-") or _git(Path(), "check-ref-format", f"refs/tags/{tag}").returncode:
        raise SettingsError(f"'{tag}' is not a name for a tag. For instance: v1.0.")


def _check_recorded(root: Path) -> list[str]:
    """The paths that dvc.lock and the .dvc files record, sorted. Raises IntegrityError unless all are as recorded."""
    files = recorded_files(read_lock(root / "dvc.lock"), root)
    wrong = [f"{finding.subject} ({finding.state})" for finding in check_files(files.values(), root)]
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
        raise IntegrityError(f"{len(wrong)} files are not those of {what}: {some(wrong)}. {remedy}.")


def _blobs(commit: str, root: Path) -> Iterator[tuple[str, str]]:
    """(path, the object's number) of each file in a commit."""
    for entry in _output(root, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0"):
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


def _git(root: Path, *arguments: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except FileNotFoundError:
        raise MachineError("there is no git on this machine. Install it.") from None


def _output(root: Path, *arguments: str) -> str:
    done = _git(root, *arguments)
    if done.returncode:
        raise MachineError(f"git cannot read the repository in {root.resolve()}: {_last(done)}.")
    return done.stdout


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    return (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("error: ").rstrip(".")
