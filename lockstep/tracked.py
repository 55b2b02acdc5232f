"""What must not stand in the files that git tracks: secrets, and settings of DVC that trust too much.

The patterns are of secrets that have a form of their own, so that a finding is nearly always one. A scanner of random
looking text would stumble over every hash in dvc.lock.
"""

import configparser
import re
import subprocess
from pathlib import Path

from lockstep.errors import SettingsError, some

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
_SETTING = re.compile(r"\s*[\w.-]*(?:password|passwd|secret|token|api_?key|access_key)\s*:\s*[^\s#\[{|>][^#]*", re.I)


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
        found += [f"'{key}' of {section} in {name}" for section, key in _dvc_secrets(_config(path))]
    if name in ("params.yaml", "dvc.yaml"):
        found += [
            f"'{line.split(':')[0].strip()}' in {name} line {number}"
            for number, line in enumerate(lines, 1)
            if _SETTING.fullmatch(line)
        ]
    return found


def check_dvc_config(root: Path = Path()) -> None:
    """Raise SettingsError unless DVC's settings verify what remotes deliver, keep copies and report nothing."""
    shared, own = _config(root / ".dvc/config"), _config(root / ".dvc/config.local")
    if shared.get("core", "analytics", fallback="true") != "false":
        raise SettingsError(".dvc/config lets DVC report its use. Type 'dvc config core.analytics false'.")
    kinds = own.get("cache", "type", fallback="") or shared.get("cache", "type", fallback="reflink,copy")
    linked = [kind for kind in re.split(r"[\s,\"]+", kinds) if kind not in ("", "reflink", "copy")]
    if linked:
        raise SettingsError(
            f".dvc/config has cache.type {linked[0]}: what is written to a linked file is written to the cache as "
            "well. Type 'dvc config cache.type reflink,copy' (with --local if it stands in config.local)."
        )
    for section in dict.fromkeys([*shared.sections(), *own.sections()]):
        if not section.strip("'").startswith("remote "):
            continue
        verify = own.get(section, "verify", fallback="") or shared.get(section, "verify", fallback="false")
        if verify.lower() != "true":
            name = section.strip("'").removeprefix("remote ").strip('"')
            local = "" if shared.has_section(section) else "--local "
            raise SettingsError(
                f"DVC would believe what the remote '{name}' delivers. Type 'dvc remote modify {local}{name} verify "
                "true', so that it hashes it."
            )
    if _dvc_secrets(own) and (root / ".dvc/config.local").stat().st_mode & 0o077:
        raise SettingsError(
            ".dvc/config.local holds a secret, and others may read it. Type 'chmod 600 .dvc/config.local'."
        )


def _config(path: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise SettingsError(f"{path} is not a configuration of DVC's: {what}. Correct it there.") from None
    return config


def _dvc_secrets(config: configparser.ConfigParser) -> list[tuple[str, str]]:
    """(section, key) of the values that are credentials."""
    return [
        (section.strip("'"), key)
        for section in config.sections()
        for key, value in config.items(section)
        if key in DVC_SECRETS and value
    ]
