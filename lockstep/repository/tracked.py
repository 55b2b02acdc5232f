"""What must not stand in the files that git tracks: secrets, and settings of DVC that trust too much.

The patterns are of secrets that have a form of their own, so that a finding is nearly always one. A scanner of random
looking text would stumble over every hash in dvc.lock.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.kernel.errors import SettingsError, some

MAX_BYTES = 1 << 20
"""Larger files are not looked at, nor are binary ones."""
_VALUE = r"""\s*[:=]\s*["']?"""
SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "an AWS secret key": rf"(?i:aws_secret_access_key|secretAccessKey){_VALUE}[A-Za-z0-9/+]{{40}}\b",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20}",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{34}\b",
    "a key of a paid service": r"\b(?:sk|rk)[-_](?:live|proj|ant)[-_][A-Za-z0-9_-]{20,}",
    "a PyPI token": r"\bpypi-AgE[A-Za-z0-9_-]{50,}",
    "an Azure storage key": r"AccountKey=[A-Za-z0-9/+]{86}==",
    "a password in a URL": r"\b[a-z][a-z0-9+.-]*://[^\s/:@'\"<>$]+:(?!password@|\*+@)[^\s/:@'\"<>${}]{3,}@",
}
_SECRETS = {what: re.compile(pattern) for what, pattern in SECRETS.items()}
_DOCUMENTED = "EXAMPLE"  # how AWS ends the keys in its documentation
DVC_SECRETS = (
    "password", "passphrase", "access_key_id", "secret_access_key", "session_token", "account_key", "sas_token",
    "connection_string", "client_secret", "gdrive_client_secret", "oss_key_id", "oss_key_secret", "token",
    "custom_auth_header",
)  # fmt: skip
_SETTING = re.compile(r"\s*[\w.-]*(?:password|passwd|secret|token|api_?key|access_key)\s*:\s*[^\s#\[{|>].*", re.I)


def check_tracked(root: Path = Path()) -> None:
    """Raise SettingsError if a file that git tracks, or is about to, holds a secret."""
    found = [finding for file in tracked_files(root) for finding in secrets_in(root / file, file)]
    if found:
        raise SettingsError(
            f"git tracks what looks like secrets: {some(found)}. Take them out before you commit, keep them in the "
            "environment or in .dvc/config.local ('dvc remote modify --local'), and get new ones for those that were "
            "pushed already."
        )


def tracked_files(root: Path = Path()) -> list[str]:
    """The files in git's index; none where there is no git repository."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, no shell
    return [name for name in done.stdout.split("\0") if name]


def secrets_in(path: Path, name: str) -> list[str]:
    """What stands in the file and looks like a secret: ``an AWS access key in params.yaml line 3``, not the secret."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return []
    data = path.read_bytes()
    if b"\0" in data:
        return []
    lines = data.decode("utf-8", "replace").splitlines()
    found = [
        f"{what} in {name} line {number}"
        for number, line in enumerate(lines, 1)
        for what, pattern in _SECRETS.items()
        if (match := pattern.search(line)) and not match[0].endswith(_DOCUMENTED)
    ]
    if name == ".dvc/config":
        _check_form(path.parents[1])
        found += [f"'{key}' of {section} in {name}" for section, key in _dvc_secrets(_sections(path))]
    if name in ("params.yaml", "dvc.yaml"):
        found += [
            f"'{line.split(':')[0].strip()}' in {name} line {number}"
            for number, line in enumerate(lines, 1)
            if _SETTING.fullmatch(line)
        ]
    return found


class Weakness(NamedTuple):
    """A setting of DVC's that trusts too much.

    Attributes:
        what: a sentence without its full stop.
        commands: what mends it, in order, where the setting stands.
    """

    what: str
    commands: tuple[tuple[str, ...], ...]


def check_dvc_config(root: Path = Path()) -> None:
    """Raise SettingsError unless DVC's settings verify what remotes deliver, keep copies and report nothing."""
    _check_form(root)
    for weakness in weaknesses(root):
        raise SettingsError(f"{weakness.what}. Type '{typed(weakness.commands)}'.")


def typed(commands: tuple[tuple[str, ...], ...]) -> str:
    """The commands of a Weakness as they are typed."""
    return " && ".join(map(shlex.join, commands))


def _check_form(root: Path) -> None:
    if broken := broken_config(root):
        raise SettingsError(f"{broken[0]} is not a configuration of DVC's: {broken[1]}. Correct it there.")


def config_files(root: Path = Path()) -> dict[str, Path]:
    """Where DVC's settings stand, whether or not the file is there; a later one's win.

    They are named as the options of ``dvc config``.
    """
    from dvc.config import Config  # type: ignore[import-untyped]  # takes a moment

    own = {"project": root / ".dvc/config", "local": root / ".dvc/config.local"}
    return {level: Path(Config.get_dir(level)) / "config" for level in ("system", "global")} | own


def broken_config(root: Path = Path()) -> tuple[Path, str] | None:
    """The first file of settings that DVC does not take, and its reason.

    What a file leaves out may stand in an earlier one: a remote's address in .dvc/config, its password in config.local.
    """
    from dvc.config import Config, ConfigError, merge

    merged: dict[str, Any] = {}
    for path in config_files(root).values():
        try:
            merge(merged, _sections(path))
            Config.validate(merged)
        except (ConfigError, AttributeError, TypeError, ValueError, SyntaxError) as error:
            return path, " ".join(str(error).split())
    return None


def dvc_options(root: Path = Path()) -> dict[tuple[str, ...], tuple[Any, str]]:
    """DVC's settings, all files merged, none of them broken: ("core", "analytics"), ("remote", NAME, "url") and so on,
    to the value and in which of ``config_files`` it stands."""
    files = config_files(root).items()
    return {option: (value, level) for level, path in files for option, value in _flat(_sections(path))}


def weaknesses(root: Path = Path()) -> Iterator[Weakness]:
    """What DVC's settings, all files merged, none of them broken, believe, share or report."""
    files, options = config_files(root), dvc_options(root)
    analytics, level = options.get(("core", "analytics"), ("true", "project"))
    if analytics.lower() != "false":
        yield Weakness(
            "DVC reports its use, since core.analytics is not false",
            (("dvc", "config", f"--{level}", "core.analytics", "false"),),
        )
    kinds, level = options.get(("cache", "type"), ("", "project"))
    kinds = {kind.strip() for kind in (kinds.split(",") if isinstance(kinds, str) else kinds)}
    if linked := sorted(kinds & {"hardlink", "symlink"}):
        copied = ("dvc", "config", f"--{level}", "cache.type", "reflink,copy")
        yield Weakness(
            f"{files[level]} has cache.type {linked[0]}: what is written to a linked file is also written to the cache",
            (copied, ("dvc", "checkout", "--relink", "--quiet")),
        )
    first: dict[str, str] = {}  # where a remote is set up; later files may change its address alone
    for level, path in files.items():
        for name in _sections(path).get("remote", {}):
            first.setdefault(name, level)
    for name, level in first.items():
        verify, where = options.get(("remote", name, "verify"), ("false", level))
        if verify.lower() != "true":
            yield Weakness(
                f"The remote '{name}' has no 'verify = true': DVC would believe what it delivers, not hash it",
                (("dvc", "remote", "modify", f"--{where}", name, "verify", "true"),),
            )
    if _dvc_secrets(_sections(files["local"])) and files["local"].stat().st_mode & 0o077:
        yield Weakness(
            f"{files['local']} holds a secret, and others may read it", (("chmod", "600", str(files["local"])),)
        )


def _sections(path: Path) -> dict[str, Any]:
    """A file of settings as DVC reads it: {section: {option: value}}, {"remote": {name: {option: value}}}."""
    from dvc.config import Config

    return Config.load_file(str(path)) if path.is_file() else {}


def _flat(sections: dict[str, Any], *names: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in sections.items():
        if isinstance(value, dict):
            yield from _flat(value, *names, name)
        else:
            yield (*names, name), value


def _dvc_secrets(sections: dict[str, Any]) -> list[tuple[str, str]]:
    """(section, option) of the values that are credentials: ``remote "s3"``, ``password``."""
    return [
        (f'{section} "{" ".join(names)}"' if names else section, option)
        for (section, *names, option), value in _flat(sections)
        if option in DVC_SECRETS and value
    ]
