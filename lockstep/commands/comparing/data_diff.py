"""``python -m lockstep data-diff [REV_A] [REV_B]``: what changed in the data between two revisions.

DVC only knows that a hash changed. This compares the loaded table of each problem: rows added, removed and changed;
columns added, removed and of another type; and for each column missing cells, new and vanished categories, range, and
whether its distribution shifted, by a test that is corrected for the number of tests. Nothing in the workspace is
touched.
"""

from collections.abc import Sequence

from lockstep.commands.comparing.two_revisions import comparison_parser, emit, parse_revisions
from lockstep.comparing.rendering import visible
from lockstep.comparing.tables.revisions import NotLoaded, compare_table_revisions
from lockstep.comparing.tables.words import not_run, report
from lockstep.kernel.errors import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Print what changed; the exit code is 0 whether or not something did."""
    args = parse_revisions(comparison_parser("data-diff", __doc__), argv)
    diff = compare_table_revisions(args.rev_a, args.rev_b, args.problem)
    if args.problem is not None and isinstance(problem := diff.problems[args.problem], NotLoaded):
        raise DataError(not_run(args.problem, problem, visible))
    emit(args, diff, lambda quote: report(diff, quote))
    return 0
