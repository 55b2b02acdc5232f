"""``python -m lockstep compare [REV_A] [REV_B] [MORE ...]``: is the model of one revision better than that of another,
or is it noise?

Reads what both revisions recorded, the predictions of their test rows and the scores of their cross-validation; nothing
is trained, and nothing in the workspace is touched. For each problem and metric: both values, the difference with its
95 % interval and p-value, and a verdict; and what differs between the revisions. docs/comparing.md says how to read it.
Of more than two revisions the models are ranked, as by 'python -m lockstep leaderboard'.
"""

import argparse
from collections.abc import Sequence

from lockstep.commands.comparing.two_revisions import comparison_parser, emit, parse_revisions
from lockstep.comparing.leaderboard import words as leaderboard_words
from lockstep.comparing.leaderboard.ranking import find_leaderboards
from lockstep.comparing.model_revisions import Absent, Failed, NotRun, compare_model_revisions
from lockstep.comparing.model_words import report, why_not
from lockstep.comparing.rendering import visible
from lockstep.kernel.errors import DataError, SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; the exit code is 1 if ``--fail-if worse`` is given and a metric is worse, else 0 or, where
    a problem could not be compared for an error, that error's."""
    parser = comparison_parser("compare", __doc__)
    parser.add_argument("--fail-if", choices=["worse"], help="exit code 1 if any metric of any problem is worse")
    parser.add_argument("more", nargs="*", metavar="MORE", help="more revisions, to rank the models of all")
    args = parse_revisions(parser, argv)
    if args.more:
        return _rank(args)
    comparison = compare_model_revisions(args.rev_a, args.rev_b, args.problem)
    if args.problem is not None and isinstance(reason := comparison.problems[args.problem], Absent | NotRun):
        raise DataError(f"{why_not(args.problem, reason, visible)}.")
    emit(args, comparison, lambda quote: report(comparison, quote))
    errors = [problem.exit_code for problem in comparison.problems.values() if isinstance(problem, Failed)]
    return max(errors, default=int(args.fail_if == "worse" and comparison.has_worse))


def _rank(args: argparse.Namespace) -> int:
    """Rank the models of more than two revisions."""
    if args.fail_if:
        raise SettingsError("--fail-if is for two revisions: name the one before and the one after.")
    found = find_leaderboards(args.problem, revisions=[args.rev_a, args.rev_b, *args.more])
    emit(args, found, lambda quote: leaderboard_words.report(found, quote))
    return found.exit_code
