"""``python -m lockstep check``: whether the files that say what is run are sound, before anything runs.

Looks at params.yaml (all problems, all sections), and, in this repository, at dvc.yaml, dvc.lock, the data contracts,
the .dvc files and DVC's settings, and for secrets in what git tracks. DVC reads most of these files itself, and less
strictly: check before you run what somebody else wrote ('make repro' and the pre-commit hook do).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lockstep.contract import read_contract
from lockstep.errors import SettingsError
from lockstep.lockfile import LOCK, read_lock, read_pointers
from lockstep.settings import Problem, read_problems, read_yaml
from lockstep.source import data_path
from lockstep.tracked import check_dvc_config, check_tracked


def main(argv: Sequence[str] | None = None) -> int:
    """Check everything. Raises the first LockstepError."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: %(default)s")
    args = parser.parse_args(argv)
    problems = read_problems(args.params)
    check_repository()
    from lockstep.facts import ReportSettings  # after the above: these take a second to import
    from lockstep.pipeline import ModelConfig

    for name in problems:
        try:
            ModelConfig.from_params(name, args.params)
            data_path(problems[name]["load"]["path"])
            Problem(args.params, name).section("report", ReportSettings)  # the one stage that the API has not
        except SettingsError as error:
            place = f"{args.params}: problems.{name}"
            raise SettingsError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None
    print(f"{args.params} is sound: {', '.join(problems)}")
    return 0


def check_repository() -> None:
    """Check the files that DVC reads, those of them that there are. Raises LockstepError."""
    if Path("dvc.yaml").exists():
        read_yaml(Path("dvc.yaml"))
    for contract in sorted(Path("data/contracts").glob("*.yaml")):
        read_contract(contract)
    if LOCK.exists():
        read_lock()
    read_pointers()
    if Path(".dvc").is_dir():
        check_dvc_config()
    check_tracked()
