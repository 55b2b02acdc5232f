"""The commands of ``python -m lockstep``: arguments, printing, exit codes.

The only folder that prints. Imports any other folder.
"""

import argparse
from pathlib import Path

from lockstep.kernel.paths import PARAMS


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The argument parser of the command ``name``, whose --help shows its module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m lockstep {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add ``--params FILE``."""
    parser.add_argument("--params", type=Path, default=PARAMS, metavar="FILE", help="default: %(default)s")
