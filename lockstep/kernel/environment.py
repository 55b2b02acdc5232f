"""The versions of what decides results: recorded in versions.toml, which DVC tracks, against those that are installed.

Imports the standard library alone, since it runs before anything that might be missing is imported.
"""

import contextlib
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.kernel.paths import ROOT

VERSIONS = ROOT / "versions.toml"
LIBRARIES = (
    "jinja2", "joblib", "lightgbm", "matplotlib", "numpy", "optuna", "pandas", "pyarrow", "scikit-learn", "scipy",
    "xgboost",
)  # fmt: skip
"""The libraries whose code computes or writes results, by the names that they are installed under."""
INSTALLED_AS = {"xgboost": ("xgboost-cpu", "xgboost")}
"""The names that a library may be installed under instead."""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def read_versions(path: Path = VERSIONS) -> dict[str, str]:
    """{"python": "3.11", "numpy": "2.4.6", ...}, as recorded. Raises SettingsError."""
    import tomllib

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path.name} does not exist. 'git checkout {path.name}' brings it back.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}. Type 'make lock', which writes it.") from None
    if set(content) != {"python", *LIBRARIES} or not all(isinstance(value, str) for value in content.values()):
        allowed = ", ".join(("python", *LIBRARIES))
        raise SettingsError(
            f"{path.name} must give a version for each of {allowed}. Type 'make lock', which writes it."
        )
    return content


def installed_version(library: str) -> str | None:
    """The installed version of a library, or None where it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    for name in INSTALLED_AS.get(library, (library,)):
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    return None


def differences(recorded: dict[str, str]) -> list[tuple[str, str, str | None]]:
    """(name, recorded version, version found) of each that differs; "python" among them.

    What is as recorded is found by the name of the folder that installers leave beside a library
    (https://packaging.python.org/en/latest/specifications/recording-installed-packages/): a few look-ups of files,
    where reading the metadata costs 25 ms per stage.
    """
    found: list[tuple[str, str, str | None]] = []
    if recorded["python"] != PYTHON:
        found.append(("python", recorded["python"], PYTHON))
    for library in LIBRARIES:
        wanted = recorded[library]
        names = [re.sub(r"[-_.]+", "_", name).lower() for name in INSTALLED_AS.get(library, (library,))]
        folders = [f"{folder}/{name}-{wanted}.dist-info" for folder in sys.path for name in names]
        if not any(map(os.path.isdir, folders)):
            actual = installed_version(library)
            if actual != wanted:
                found.append((library, wanted, actual))
    return found


def check_environment() -> None:
    """Raise MachineError unless what is installed is what versions.toml records."""
    found = differences(read_versions(VERSIONS))
    if find_spec("msgspec") is None or any(actual is None for _, _, actual in found):
        # The likeliest mistake of all: dvc was called by its path, and `python` is another one than its own.
        raise MachineError(
            f"{sys.executable} lacks the libraries of requirements.lock. Type 'source .venv/bin/activate' first "
            "('make venv' makes it)."
        )
    if not found:
        return
    recorded, here = (", ".join(f"{row[0]} {row[place]}" for row in found) for place in (1, 2))
    python = [wanted for name, wanted, _ in found if name == "python"]
    make = f"make venv PYTHON=python{python[0]}" if python else "make venv"
    other = "'python -m lockstep versions --write'" if python else "set them in pyproject.toml, then 'make lock'"
    raise MachineError(
        f"versions.toml records {recorded}; here is {here}. Results depend on it, so nothing was run. To have what is "
        f"recorded: 'rm -rf .venv', '{make}'. To record others: {other}; 'dvc repro' then reruns what they affect."
    )
