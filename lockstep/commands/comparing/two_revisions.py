"""What the commands that compare two revisions have in common: their arguments, and the forms of their answer."""

import argparse
import json
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.commands import command_parser
from lockstep.comparing.rendering import Quote, Report, code, markdown, show, visible
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import read_problems
from lockstep.repository.revisions import WORKSPACE

import msgspec


def comparison_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a command that compares two revisions and shows what it finds in several forms."""
    parser = command_parser(command, description)
    parser.add_argument("rev_a", nargs="?", default="HEAD", metavar="REV_A", help="before; default: %(default)s")
    parser.add_argument(
        "rev_b",
        nargs="?",
        default=WORKSPACE,
        metavar="REV_B",
        help="after; default: %(default)s. A revision is a commit, branch, tag or DVC experiment, 'workspace', or "
        "NAME#STAGE: what is in a stage of the registry",
    )
    parser.add_argument("--problem", metavar="NAME", help="this problem alone; default: all")
    add_forms(parser)
    return parser


def parse_revisions(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments of a parser of comparison_parser's. NAME#STAGE becomes the tag that put the model there, and
    its problem the one that is compared.

    Raises:
        SettingsError: nothing is in the stage; stages of two problems, or of another than --problem names.
    """
    args = parser.parse_args(argv)
    known = read_problems(PARAMS) if PARAMS.exists() else {}

    def revision(name: str) -> str:
        problem, mark, stage = name.partition("#")
        if not mark or "#" in stage or problem not in known:
            return name
        if args.problem not in (None, problem):
            raise SettingsError(
                f"{name} is of '{problem}', and '{args.problem}' is compared. Name stages of one problem."
            )
        from lockstep.deployment.registry.staged_model import stage_tag  # takes the registry's modules

        args.problem = problem
        return stage_tag(problem, stage)

    args.rev_a, args.rev_b = revision(args.rev_a), revision(args.rev_b)
    args.more = [revision(name) for name in getattr(args, "more", ())]
    return args


def add_forms(parser: argparse.ArgumentParser) -> Any:
    """Add the options for the form of the answer, of which only one can be given; return their group."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON, for a program")
    form.add_argument("--md", action="store_true", help="as GitHub's Markdown, for a pull request")
    return form


def emit(args: argparse.Namespace, found: msgspec.Struct, words: Callable[[Quote], Report]) -> None:
    """Print what a command found, in the form that its options ask for.

    Args:
        args: of a parser with ``add_forms``.
        found: for JSON.
        words: the report, its names and cells quoted by the function that it is given.
    """
    if args.json:
        print(json.dumps(msgspec.to_builtins(found), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))
    elif args.md:
        print(markdown(words(code)), end="")
    else:
        show(words(visible))
