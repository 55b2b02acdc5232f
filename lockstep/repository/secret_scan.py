"""Secrets in the files that git tracks.

The patterns are of secrets that have a form of their own, so that a finding is nearly always one. A scanner of random
looking text would stumble over every hash in dvc.lock.
"""

import re
from pathlib import Path

from lockstep.kernel.errors import SettingsError, some
from lockstep.kernel.paths import PARAMS, PIPELINE
from lockstep.repository.dvc_config import check_config_form, credentials_in
from lockstep.repository.git import tracked_files

_MAX_BYTES = 1 << 20
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


def secrets_in(path: Path, name: str) -> list[str]:
    """What looks like a secret in the file: ``an AWS access key in params.yaml line 3``, not the secret itself."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
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
        check_config_form(path.parents[1])
        found += [f"'{key}' of {section} in {name}" for section, key in credentials_in(path)]
    if name in (PARAMS.name, PIPELINE.name):
        found += [
            f"'{line.split(':')[0].strip()}' in {name} line {number}"
            for number, line in enumerate(lines, 1)
            if _SETTING.fullmatch(line)
        ]
    return found
