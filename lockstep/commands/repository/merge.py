"""``python -m lockstep merge``: settle what git cannot merge, by building it anew.

For a 'git merge', 'rebase', 'cherry-pick', 'revert' or 'stash pop' that stopped at conflicts. No side of what stages
write (dvc.lock, metrics, plots) is right: it follows from settings, code and data. So 'dvc repro' builds what the
merged settings say, and the result is added to git's index. It is that of a clean run.

Settings, code and .dvc files in conflict are never touched. They are listed, with what to type; then type this again.
It can be typed as often as you like; where git has stopped in nothing, it does nothing. 'git merge --abort' (rebase,
cherry-pick) takes you back to where you were.

Exit code: 0 nothing is in conflict any more; 1 something is left for you to settle.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.errors import some
from lockstep.kernel.locks import exclusive_command
from lockstep.provenance.damage import has_markers
from lockstep.provenance.merging import find_conflicts, is_on_both_sides, rebuild_merged
from lockstep.repository.conflicts import Operation, stopped_operation


def main(argv: Sequence[str] | None = None) -> int:
    """Settle the conflicts, or say which are not for a run to settle."""
    command_parser("merge", __doc__).parse_args(argv)
    operation, found = stopped_operation(), find_conflicts()
    if found.decisions:
        print("Nothing was changed. For you to settle, since no run can decide it:")
        _list(found.decisions, operation)
        rest = f", which rebuilds {some(found.generated)}" if found.generated else ""
        print(f"Then type 'python -m lockstep merge' again{rest}.")
        return 1
    if not found.generated and operation is None:
        print("Nothing is in conflict.")
        return 0
    from lockstep.commands.pipeline import check  # takes a while to import

    with exclusive_command("merge"):
        rebuild_merged(check=lambda: check.main([]))
    left = find_conflicts()
    if any(left):
        print("No stage writes these any more, so they are for you to settle:")
        _list([*left.decisions, *left.generated], operation)
        return 1
    print("Nothing is in conflict any more, and what the settings say is built and added (git diff --cached --stat).")
    print(f"Next: {operation.go_on if operation else 'git commit'}")
    return 0


def _list(paths: Iterable[Path], operation: Operation | None) -> None:
    for path in paths:
        print(f"  {path}: {_advice(path, operation)}")


def _advice(path: Path, operation: Operation | None) -> str:
    """What to type for a file that a person has to settle."""
    both = is_on_both_sides(path)
    if both and path.suffix == ".dvc":
        ours, theirs = (f" ({side})" if side else "" for side in (operation or ("", "", "", ""))[2:])
        take = f"git checkout --ours -- {path}{ours}, or --theirs{theirs}"
        return f"two versions of a table. Take one: {take}; then git add {path} && dvc checkout {path}"
    if has_markers(path):
        return f"edit the lines between <<<<<<< and >>>>>>>, then git add {path}"
    if both:
        return f"it has no markers of a conflict. Once it is as you want it: git add {path}"
    return f"one side deleted or renamed it. Keep it: git add {path}; or not: git rm {path}"
