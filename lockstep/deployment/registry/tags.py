"""The tags of the registry: their names, as GTO has them, how they are read, and how they are made.

``iris@v1.2.0`` registers a version, ``iris#prod#3`` puts a commit's model into a stage, ``iris#prod!#4`` takes it out;
the last number counts a problem's tags. All are annotated: GTO goes by the time that a tag has, and leaves out tags
that have none. A problem of a DVC repository that is a folder of a git repository has that folder before its name:
``folder=iris@v1.2.0``.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.repository import git

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_/-]*[A-Za-z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = (
    rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_TAG = re.compile(
    rf"(?P<artifact>(?:[A-Za-z0-9_./-]+=)?{_NAME})"
    rf"(?:@(?P<version>{_VERSION})|#(?P<stage>{_NAME}))(?P<cancels>!?)(?:#(?P<counter>[0-9]+))?"
)
_FIELDS = (
    "refname:lstrip=2", "*objecttype", "*objectname", "taggername", "taggeremail", "taggerdate:unix",
    "contents:signature", "contents",
)  # fmt: skip
_SIGNED = "-----BEGIN "


class RegistryTag(NamedTuple):
    """A tag of the registry.

    Attributes:
        artifact: the problem, with its folder, as in the tag's name.
        version: that it registers; None for a stage's.
        stage: that it is about; None for a version's.
        cancels: whether it takes the version back, or the model out of the stage.
        counter: the number at the end of its name; 0 for none.
        commit: its hash.
        time: in seconds since 1970, by which GTO orders the tags.
        tagger, email: who made it.
        is_signed: whether it has a signature, which was not checked.
        message: without the signature.
    """

    name: str
    artifact: str
    version: str | None
    stage: str | None
    cancels: bool
    counter: int
    commit: str
    time: int
    tagger: str
    email: str
    is_signed: bool
    message: str


class NewTag(NamedTuple):
    """A tag to be made: ``time`` as of RegistryTag."""

    name: str
    commit: str
    time: int
    message: str


def artifact_name(problem: str, root: Path, git_root: Path) -> str:
    """What a problem of the DVC repository at ``root`` is called in the names of tags.

    Raises:
        SettingsError: GTO does not allow the name.
    """
    folder = root.resolve().relative_to(git_root.resolve()).as_posix()
    name = problem if folder == "." else f"{folder}={problem}"
    if not re.fullmatch(rf"(?:[A-Za-z0-9_./-]+=)?{_NAME}", name):
        raise SettingsError(
            f"'{name}' cannot be the name of a model in the registry. Allowed: letters, digits, '_' and '-', with a "
            "letter or digit at the end. 'python -m lockstep rename' gives the problem another name."
        )
    return name


def check_stage(stage: str) -> None:
    """Raise SettingsError unless GTO and git allow the name of a stage."""
    if not re.fullmatch(_NAME, stage) or "//" in stage:
        raise SettingsError(
            f"'{stage}' cannot be the name of a stage. Allowed: letters, digits, '_', '-' and '/', with a letter or "
            "digit at both ends: prod, staging, shadow-eu."
        )


def is_version(text: str) -> bool:
    """Whether it is a version as GTO has them: ``v`` and a semantic version (https://semver.org)."""
    return re.fullmatch(_VERSION, text) is not None


def version_order(version: str) -> tuple[object, ...]:
    """The key that sorts versions as https://semver.org orders them."""
    core, _, before_release = version[1:].partition("+")[0].partition("-")
    parts = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in before_release.split(".")]
    return (*map(int, core.split(".")), not before_release, parts)


def next_version(versions: Iterable[str]) -> str:
    """The one that GTO gives by default: the highest with its last number raised; v0.0.1 is the first."""
    highest = max(versions, key=version_order, default="v0.0.0")
    major, minor, patch = version_order(highest)[:3]
    return f"v{major}.{minor}.{int(str(patch)) + 1}"


def read_tags(root: Path) -> list[RegistryTag]:
    """Read the registry's tags of all problems, in their order. Raises MachineError: git fails."""
    form = "%00".join(f"%({field})" for field in _FIELDS) + "%00"
    listed = git.output("for-each-ref", f"--format={form}", "refs/tags", root=root)
    return sorted(_parse(listed), key=lambda tag: (tag.time, tag.cancels, tag.counter))


def _parse(listed: str) -> Iterator[RegistryTag]:
    fields = listed.split("\0")
    for start in range(0, len(fields) - len(_FIELDS), len(_FIELDS)):
        name, kind, commit, tagger, email, seconds, signature, contents = fields[start : start + len(_FIELDS)]
        found = _TAG.fullmatch(name := name.removeprefix("\n"))
        if found and kind == "commit" and seconds:  # others, such as a tag without a message, are not GTO's
            yield RegistryTag(
                name=name,
                artifact=found["artifact"],
                version=found["version"],
                stage=found["stage"],
                cancels=bool(found["cancels"]),
                counter=int(found["counter"] or 0),
                commit=commit,
                time=int(seconds),
                tagger=tagger,
                email=email.strip("<>"),
                is_signed=bool(signature),
                message=contents.removesuffix(signature).strip(),
            )


def has_good_signature(tag: str, root: Path) -> bool:
    """Whether git can check the signature of a tag, by the keys that the user's settings trust, and it is right."""
    return git.run("verify-tag", "--", tag, root=root).returncode == 0


def make_tags(tags: Iterable[NewTag], root: Path) -> None:
    """Make all of the tags, or none: with a signature where the user's settings of git ask for one (tag.gpgSign).

    Raises:
        SettingsError: there is a tag of one of the names.
        MachineError: git cannot make, or sign, one of them.
    """
    asked = git.run("config", "--type=bool", "tag.gpgSign", root=root).stdout.strip() == "true"
    made: list[str] = []
    try:
        for tag in tags:
            if git.run("rev-parse", "--verify", "--quiet", f"refs/tags/{tag.name}", root=root).returncode == 0:
                raise SettingsError(
                    f"there is a tag '{tag.name}' already. 'git show {tag.name}' shows it; if another command made it "
                    "just now, type this one again."
                )
            made.append(tag.name)
            done = _make_tag(tag, root)
            if done.returncode:
                made.pop()  # if it is there, another command has made it just now
                raise MachineError(f"git cannot make the tag '{tag.name}': {git.reason(done)}. No tag was made.")
            # Some versions of git make the tag, unsigned, when the program that signs fails.
            if asked and _SIGNED not in git.output("cat-file", "tag", f"refs/tags/{tag.name}", root=root):
                raise MachineError(
                    f"git cannot sign the tag '{tag.name}', though tag.gpgSign asks for it: {git.reason(done)}. No tag "
                    "was made. 'git config user.signingkey' says which key it takes."
                )
    except BaseException:
        for name in made:
            git.run("tag", "--delete", name, root=root)
        raise


def _make_tag(tag: NewTag, root: Path) -> git.Done:
    when = f"@{tag.time} {time.strftime('%z', time.localtime(tag.time))}"
    return git.run(
        *("tag", "--annotate", "--cleanup=verbatim", "--file=-", tag.name, tag.commit),
        root=root,
        stdin=tag.message.rstrip("\n") + "\n",
        env={**os.environ, "GIT_COMMITTER_DATE": when},
    )
