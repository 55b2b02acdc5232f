"""``python -m lockstep models [PROBLEM]``: the registered models, the stages they are in, how good each is.

Reads the tags that 'promote', 'demote' and GTO make, and what the commits recorded. docs/promoting.md says more.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.commands.comparing.two_revisions import add_forms, emit
from lockstep.deployment.registry.listing import list_models, report


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Raises LockstepError."""
    parser = command_parser("models", __doc__)
    parser.add_argument("problem", nargs="?", metavar="PROBLEM", help="this one alone; default: all")
    add_forms(parser)
    args = parser.parse_args(argv)
    found = list_models(args.problem)
    emit(args, found, lambda quote: report(found, quote))
    return 0
