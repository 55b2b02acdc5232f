"""``python -m lockstep check``: whether the files that say what is run are sound, before anything runs.

Looks at params.yaml (all problems, all sections), and, in this repository, at dvc.yaml, dvc.lock, the data contracts,
the .dvc files and DVC's settings, and for secrets in what git tracks. DVC reads most of these files itself, and less
strictly: check before you run what somebody else wrote ('make repro' and the pre-commit hook do).
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lockstep.commands import add_params, command_parser
from lockstep.kernel.errors import SettingsError, did_you_mean
from lockstep.kernel.lock_file import LOCK_FILE, last_commits, pointers
from lockstep.kernel.settings import Problem, read_problems
from lockstep.provenance.damage import PIPELINE, check_form
from lockstep.reading.contract import read_contract
from lockstep.reading.source import data_path
from lockstep.repository import git
from lockstep.repository.dvc_config import check_dvc_config
from lockstep.repository.secret_scan import check_tracked

CONTRACTS = Path("data/contracts")


def main(argv: Sequence[str] | None = None) -> int:
    """Check everything. Raises the first LockstepError."""
    parser = command_parser("check", __doc__)
    add_params(parser)
    args = parser.parse_args(argv)
    problems = read_problems(args.params)
    check_repository()
    if PIPELINE.exists():
        _check_graph(PIPELINE, problems)
    # After the above: these take a second to import.
    from lockstep.api import ModelConfig
    from lockstep.diagnosing.settings import DiagnoseSettings
    from lockstep.learning.cross_validation import Averaging
    from lockstep.reporting.sources import ReportSettings

    for name in problems:
        _check_contract(name, problems)
        try:
            problem = Problem(args.params, name)
            problem.pick("evaluate", Averaging)  # DVC tracks this key by name, and refuses to do without it
            ModelConfig.from_params(name, args.params)
            _check_data(data_path(problems[name]["load"]["path"]))
            problem.section("diagnose", DiagnoseSettings)
            problem.section("report", ReportSettings)
        except SettingsError as error:
            place = f"{args.params}: problems.{name}"
            raise SettingsError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None
    print(f"{args.params} is sound: {', '.join(problems)}")
    return 0


def _check_graph(path: Path, problems: Collection[str]) -> None:
    """Refuse a dvc.yaml that names a problem that was removed or renamed: DVC would refuse every command."""
    named = set(re.findall(r"\$\{\s*problems\.([^.\[}]+)", path.read_text(encoding="utf-8")))
    if gone := sorted(named - set(problems)):
        raise SettingsError(
            f"{path} names the problem '{gone[0]}' (artifacts.{gone[0]}?), which params.yaml has not: it has "
            f"{', '.join(problems)}. Remove that entry, or rename it."
        )


def _check_contract(name: str, problems: Collection[str]) -> None:
    """Refuse a problem whose contract, which stage load reads, is missing, as after its name was changed."""
    contract = CONTRACTS / f"{name}.yaml"
    if not PIPELINE.exists() or contract.exists():
        return
    orphans = [path for path in sorted(CONTRACTS.glob("*.yaml")) if path.stem not in problems]
    if len(orphans) == 1:
        remedy = f"If the problem was renamed: 'git mv {orphans[0]} {contract}'"
    elif git.committed(contract) is not None:
        remedy = last_commits(contract)
    else:
        remedy = f"Take '{name}' out of params.yaml, and have 'python -m lockstep add' add it again, which writes one"
    raise SettingsError(f"{contract}, the data contract of the problem '{name}', does not exist. {remedy}.")


def _check_data(path: Path) -> None:
    """Refuse a table that is neither here nor tracked by DVC, which would bring it."""
    if Path(".dvc").is_dir() and not path.exists() and not Path(f"{path}.dvc").exists():
        here = [file.removesuffix(".dvc") for file in map(str, sorted(path.parent.glob("*")))]
        hint = did_you_mean(str(path), here) or " 'python -m lockstep add FILE' brings a table in."
        raise SettingsError(f"load.path is {path}, which does not exist, and no {path}.dvc tracks it.{hint}")


def check_repository() -> None:
    """Check the files that DVC reads, those of them that there are. Raises LockstepError."""
    for file in (PIPELINE, LOCK_FILE, *pointers()):
        if file.exists():
            check_form(file)
    for contract in sorted(CONTRACTS.glob("*.yaml")):
        read_contract(contract)
    if Path(".dvc").is_dir():
        check_dvc_config()
    check_tracked()
