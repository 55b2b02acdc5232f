"""``python -m lockstep check``: whether the files that say what is run are sound, before anything runs.

Looks at params.yaml (all problems, all sections), and, in this repository, at dvc.yaml, dvc.lock, the data contracts,
the .dvc files and DVC's settings, and for secrets in what git tracks. DVC reads most of these files itself, and less
strictly: check before you run what somebody else wrote ('make repro' and the pre-commit hook do).
"""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from lockstep.commands import add_params, command_parser
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.lock_file import LOCK_FILE, last_commits, pointers
from lockstep.kernel.paths import CONTRACTS, PIPELINE, features_of
from lockstep.kernel.settings import NO_PROBLEM, Problem, read_problems
from lockstep.provenance.damage import check_dvc_file
from lockstep.reading.contract import read_contract
from lockstep.repository import git
from lockstep.repository.dvc_config import check_dvc_config
from lockstep.repository.secret_scan import check_tracked


def main(argv: Sequence[str] | None = None) -> int:
    """Check everything. Raises the first LockstepError."""
    parser = command_parser("check", __doc__)
    add_params(parser)
    args = parser.parse_args(argv)
    problems = read_problems(args.params)
    check_repository()
    if PIPELINE.exists():
        _check_graph(PIPELINE, problems)
    from lockstep.api import check_problem  # after the above: it takes a second to import

    for name in problems:
        _check_files(name, problems)
        check_problem(Problem(args.params, name, problems))
    found = f": {', '.join(problems)}" if problems else f", and has {NO_PROBLEM}"
    print(f"{args.params} is sound{found}")
    return 0


def _check_graph(path: Path, problems: Collection[str]) -> None:
    """Refuse a dvc.yaml that names a problem that was removed or renamed: DVC would refuse every command."""
    named = set(re.findall(r"\$\{\s*problems\.([^.\[}]+)", path.read_text(encoding="utf-8")))
    if gone := sorted(named - set(problems)):
        raise SettingsError(
            f"{path} names the problem '{gone[0]}' (artifacts.{gone[0]}?), which params.yaml has not: it has "
            f"{', '.join(problems) or 'none'}. Remove that entry, or rename it."
        )


def _check_files(name: str, problems: Collection[str]) -> None:
    """Refuse a problem whose contract or file for own features, which stages read, is missing, as after its name was
    changed."""
    again = f"Take '{name}' out of params.yaml, and have 'python -m lockstep add' add it again, which writes one"
    features = features_of(name)
    for file, what, otherwise in (
        (CONTRACTS / f"{name}.yaml", "the data contract", again),
        (features, "the file for own features", f"'touch {features}' makes one that defines none"),
    ):
        if not PIPELINE.exists() or file.exists():
            continue
        orphans = [path for path in sorted(file.parent.glob(f"*{file.suffix}")) if path.stem not in problems]
        if len(orphans) == 1:
            remedy = f"If the problem was renamed: 'git mv {orphans[0]} {file}'"
        else:
            remedy = last_commits(file) if git.committed(file) is not None else otherwise
        raise SettingsError(f"{file}, {what} of the problem '{name}', does not exist. {remedy}.")


def check_repository() -> None:
    """Check the files that DVC reads, those of them that there are. Raises LockstepError."""
    for file in (PIPELINE, LOCK_FILE, *pointers()):
        if file.exists():
            check_dvc_file(file)
    for contract in sorted(CONTRACTS.glob("*.yaml")):
        read_contract(contract)
    if Path(".dvc").is_dir():
        check_dvc_config()
    check_tracked()
