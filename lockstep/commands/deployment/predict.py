"""``python -m lockstep predict MODEL rows.csv -o predictions.csv``: score new rows with a saved model.

The rows are read as strictly as training data, block by block, so that a file may be larger than memory; their types
are those that the model was fitted on, and the problem's data contract guards them. The output is written whole or not
at all.
"""

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import IO

from lockstep.commands import add_model, command_parser, given_model
from lockstep.commands.new_rows import add_sheet, new_rows
from lockstep.deployment.serving.background import background_of
from lockstep.deployment.serving.predicting import (
    REASONS,
    blocks_of,
    make_scorer,
    note_of,
    predict_blocks,
)
from lockstep.deployment.serving.row_files import FILE_KINDS, table_of
from lockstep.intake.sources.snapshots import as_table
from lockstep.kernel.errors import DataError, SettingsError, called, plural
from lockstep.kernel.files import Outputs
from lockstep.kernel.paths import CONTRACTS, PARAMS

import pandas as pd


def main(argv: Sequence[str] | None = None) -> int:
    """Score the rows. Raises LockstepError; then nothing was written."""
    parser = command_parser("predict", __doc__)
    add_model(parser, staged=True)
    parser.add_argument("rows", help=f"{FILE_KINDS}, or - for CSV from stdin")
    parser.add_argument("-o", "--output", default="-", metavar="CSV", help="write here (default: -, stdout)")
    parser.add_argument("--problem", metavar="NAME", help="the problem in params.yaml (default: the model's folder)")
    parser.add_argument(
        "--explain",
        action="store_true",
        help=f"add the {REASONS} columns that moved each prediction furthest, and how far: docs/decisions.md",
    )
    parser.add_argument("--sha256", metavar="HEX", help="the model's SHA-256, if nothing here records the file")
    add_sheet(parser)
    args = parser.parse_args(argv)
    with given_model(args.model, args.problem) as (model, problem, root, _):
        _check_output(args.output, args.rows, model)
        scorer = make_scorer(model, problem, root / PARAMS, contracts=root / CONTRACTS, sha256=args.sha256)
        background = background_of(model, [*scorer.types], problem, "--explain", root) if args.explain else None
        note = note_of(scorer, model)
    with (
        rows_file(args, scorer.form.missing) as (path, name),
        tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool,
    ):
        n_rows = 0
        for columns in predict_blocks(scorer, blocks_of(scorer, path, name), name, background):
            frame = pd.DataFrame(columns)
            frame.to_csv(spool, index=False, header=n_rows == 0, lineterminator="\n")
            n_rows += len(frame)
        if not n_rows:
            raise DataError(f"{name} has no rows below its header. Nothing was written.")
        spool.seek(0)
        _deliver(spool, args.output)
    print(f"{plural(n_rows, 'row')} scored{'' if args.output == '-' else f': {args.output}'}", file=sys.stderr)
    if note:
        print(note, file=sys.stderr)
    return 0


@contextlib.contextmanager
def rows_file(args: argparse.Namespace, missing: Collection[str]) -> Iterator[tuple[Path, str]]:
    """A CSV or parquet file with the rows that ``args`` name, and what messages call it.

    Those of stdin are put into a temporary file, and a snapshot is made of a workbook or of JSON lines, for the time of
    the block; what was decided of their cells is said.

    Args:
        args: with ``rows`` and the flags of ``add_sheet``.
        missing: words for a missing value, of the problem's settings.
    """
    if args.rows != "-":
        with table_of(new_rows(Path(args.rows), args), missing, ", or - for CSV from stdin") as found:
            yield found
        return
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        path = Path(file.name)
        with as_table(new_rows(path, args), missing), called(path, "stdin"):
            yield path, "stdin"


def _check_output(output: str, rows: str, model: Path) -> None:
    """Raise SettingsError if the output is a directory, or would replace what it is made from."""
    path = Path(output)
    if output == "-":
        return
    if path.is_dir():
        raise SettingsError(f"{path} is a directory. Give the name of a file: -o {path / 'predictions.csv'}.")
    for what, other in (("rows", Path(rows)), ("model", model)):
        if path.exists() and other.exists() and path.samefile(other):
            raise SettingsError(f"-o {path} would replace the {what}. Give another name: -o predictions.csv.")


def _deliver(spool: IO[str], output: str) -> None:
    """Copy the finished predictions to stdout, to a device or pipe, or to a file that appears whole."""
    if output == "-":
        shutil.copyfileobj(spool, sys.stdout)
        return
    if Path(output).exists() and not Path(output).is_file():  # /dev/null is written to, not replaced by a file
        with Path(output).open("w", encoding="utf-8", newline="") as file:
            shutil.copyfileobj(spool, file)
        return

    def writer(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            shutil.copyfileobj(spool, file)

    with Outputs() as outputs:
        outputs.write(Path(output), writer)
