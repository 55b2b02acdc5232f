"""DVC's settings: where they are, whether they are of its form, and which of them trust too much."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.repository.dvc_process import run_dvc

DVC_SECRETS = (
    "password", "passphrase", "access_key_id", "secret_access_key", "session_token", "account_key", "sas_token",
    "connection_string", "client_secret", "gdrive_client_secret", "oss_key_id", "oss_key_secret", "token",
    "custom_auth_header",
)  # fmt: skip


class Weakness(NamedTuple):
    """A setting of DVC's that trusts too much.

    Attributes:
        what: a sentence without its full stop.
        commands: what corrects it, in order, in the file that has the setting.
    """

    what: str
    commands: tuple[tuple[str, ...], ...]


def check_dvc_config(root: Path = Path()) -> None:
    """Raise SettingsError unless DVC's settings verify what remotes deliver, keep copies and report nothing."""
    check_config_form(root)
    for weakness in weaknesses(root):
        raise SettingsError(f"{weakness.what}. Type '{typed(weakness.commands)}'.")


def typed(commands: tuple[tuple[str, ...], ...]) -> str:
    """The commands of a Weakness as they are typed."""
    return " && ".join(map(shlex.join, commands))


def correct(weakness: Weakness) -> None:
    """Run its commands. Raises MachineError where DVC refuses one."""
    for program, *arguments in weakness.commands:
        if program == "chmod":
            mode, path = arguments
            Path(path).chmod(int(mode, 8))
        elif (done := run_dvc(arguments)).code:
            raise MachineError(f"'dvc {arguments[0]}' failed: {done.reason}")


def check_config_form(root: Path) -> None:
    """Raise SettingsError if DVC would not take its settings."""
    if broken := broken_config(root):
        raise SettingsError(f"{broken[0]} is not a configuration of DVC's: {broken[1]}. Correct it there.")


def config_files(root: Path = Path()) -> dict[str, Path]:
    """The files of DVC's settings, there or not, by the names of ``dvc config``'s options; a later file's win."""
    from dvc.config import Config  # type: ignore[import-untyped]  # takes a while

    own = {"project": root / ".dvc/config", "local": root / ".dvc/config.local"}
    return {level: Path(Config.get_dir(level)) / "config" for level in ("system", "global")} | own


def broken_config(root: Path = Path()) -> tuple[Path, str] | None:
    """The first file of settings that DVC does not take, and its reason.

    What a file leaves out may be in an earlier one: a remote's address in .dvc/config, its password in config.local.
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
    to the value, and which of ``config_files`` has it."""
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
    if credentials_in(files["local"]) and files["local"].stat().st_mode & 0o077:
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


def credentials_in(path: Path) -> list[tuple[str, str]]:
    """(section, option) of the credentials in a file of settings: ``remote "s3"``, ``password``."""
    return [
        (f'{section} "{" ".join(names)}"' if names else section, option)
        for (section, *names, option), value in _flat(_sections(path))
        if option in DVC_SECRETS and value
    ]
