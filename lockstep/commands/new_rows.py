"""The flags by which commands read new rows that are no table yet: a sheet of a workbook, JSON lines."""

import argparse
from pathlib import Path

from lockstep.intake.sources.snapshots import NewRows

LINES = 1000
"""So many lines may be skipped at either end of a file."""


def add_sheet(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how a workbook, or JSON lines, are read, as ``add`` has them."""
    add = parser.add_argument
    add("--sheet", metavar="NAME", help="the sheet of a workbook (default: the one that is not empty)")
    add("--text", metavar="COLUMN", nargs="+", help="columns of a workbook, or of JSON lines, whose cells are texts")
    add("--skip-lines", type=number_of_lines, metavar="N", help="rows of a workbook above the header")
    add(
        "--skip-footer-lines",
        type=number_of_lines,
        metavar="N",
        help="rows of a workbook below the last one of the table",
    )


def new_rows(path: Path, args: argparse.Namespace) -> NewRows:
    """The rows of a file, read as the flags of ``add_sheet`` say."""
    return NewRows(path, args.sheet, tuple(args.text or ()), args.skip_lines, args.skip_footer_lines)


def number_of_lines(text: str) -> int:
    """A number of lines to skip, for argparse."""
    if not text.isascii() or not text.isdigit() or int(text) > LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines from 0 to {LINES}")
    return int(text)
