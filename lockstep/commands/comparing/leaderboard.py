"""``python -m lockstep leaderboard [--problem NAME]``: the models of all commits, branches, tags and experiments, the
best by cross-validation first, and which of them cannot be told from it.

Reads what was recorded; nothing is trained or pulled, and nothing in the workspace is touched. The same model is shown
once, with its names. docs/leaderboard.md says how to read it.
"""

from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.commands.comparing.two_revisions import add_forms, emit
from lockstep.comparing.leaderboard.ranking import Leaderboards, find_leaderboards
from lockstep.comparing.leaderboard.words import report
from lockstep.kernel.files import Outputs

PAGE = Path("reports/leaderboard.html")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or write the page; the exit code is 0 or, where a problem could not be read, that error's."""
    parser = command_parser("leaderboard", __doc__)
    parser.add_argument("--problem", metavar="NAME", help="this problem alone; default: all")
    parser.add_argument("--metric", help="rank and compare by this one (default: tune.metric of the problem)")
    form = add_forms(parser)
    form.add_argument(
        "--html", nargs="?", type=Path, const=PAGE, metavar="FILE", help="write it as a page; default: %(const)s"
    )
    args = parser.parse_args(argv)
    found = find_leaderboards(args.problem, args.metric)
    if args.html is None:
        emit(args, found, lambda quote: report(found, quote))
    else:
        _write(found, args.html)
        print(args.html)
    return found.exit_code


def _write(found: Leaderboards, path: Path) -> None:
    from lockstep.comparing.leaderboard.page import page_of  # draws with what takes a second to import

    with Outputs() as outputs:
        outputs.text(path, page_of(found))
