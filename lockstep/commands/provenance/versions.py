"""``python -m lockstep versions``: the recorded versions of what decides results, and those that are here.

They are in versions.toml, which DVC tracks: when one changes, the stages that use it run again, and ``dvc params
diff`` shows it. ``--write`` records the libraries that requirements.lock pins, and the Python that runs this; ``make
lock`` and ``make venv`` call it.

Exit code: 0 what is recorded is what is here; 1 it is not.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.environment import (
    INSTALLED_AS,
    LIBRARIES,
    PYTHON,
    VERSIONS,
    differences,
    installed_version,
    read_versions,
)
from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.files import Outputs

_HEADER = """\
# The versions of what decides results. DVC tracks them as parameters, each stage those that it uses: when one changes,
# the stages that it affects run again. Written by 'make lock' and 'make venv' (python -m lockstep versions --write).
"""


def pinned_versions(lock: Path) -> dict[str, str]:
    """The versions of LIBRARIES that requirements.lock pins.

    Raises:
        DataError: there is no such file.
        SettingsError: it pins one of them not at all, or differently for different machines.
    """
    try:
        text = lock.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{lock} does not exist. Run it from the repository's root, or make it: 'make lock'.") from None
    found = {}
    for library in LIBRARIES:
        names = "|".join(map(re.escape, INSTALLED_AS.get(library, (library,))))
        versions = set(re.findall(rf"^(?:{names})==([^\s;\\]+)", text, re.MULTILINE))
        if len(versions) != 1:
            pinned = ", ".join(sorted(versions)) or "none"
            raise SettingsError(
                f"{lock} must pin one version of {library} for every machine, and has {pinned}. Narrow it in "
                "pyproject.toml, then type 'make lock'."
            )
        found[library] = versions.pop()
    return found


def write_versions(versions: dict[str, str], path: Path = VERSIONS) -> None:
    """Write versions.toml: Python first, then the libraries by name."""
    names = ["python", *LIBRARIES]
    text = _HEADER + "".join(f'{name} = "{versions[name]}"\n' for name in names)
    with Outputs() as outputs:
        outputs.write(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def main(argv: Sequence[str] | None = None) -> int:
    """Show the versions, or record them."""
    parser = command_parser("versions", __doc__)
    parser.add_argument("--write", action="store_true", help="record what requirements.lock pins, and this Python")
    args = parser.parse_args(argv)
    if args.write:
        versions = {"python": PYTHON, **pinned_versions(Path("requirements.lock"))}
        try:
            before = read_versions()
        except SettingsError:
            before = {}
        if before == versions:
            return 0
        write_versions(versions)
        for name, version in versions.items():
            if before.get(name) != version:
                print(f"versions.toml: {name} {before.get(name, '(none)')} → {version}")
        print("The stages that use it will run again. 'git checkout versions.toml' takes that back.")
        return 0
    recorded = read_versions()
    wrong = {name for name, *_ in differences(recorded)}
    for name, version in recorded.items():
        here = PYTHON if name == "python" else installed_version(name) or "not installed"
        print(f"{name:<14} {version:<10}" + (f" here: {here}" if name in wrong else ""))
    return 1 if wrong else 0
