"""``python -m lockstep predict MODEL rows.csv -o predictions.csv``: score new rows with a saved model.

The rows are read as strictly as training data, block by block, so that a file may be larger than memory; their types
are those that the model was fitted on, and the problem's data contract guards them. The output is written whole or not
at all.
"""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from lockstep.commands import add_model, command_parser, model_path
from lockstep.deciding.conformal import interval_columns
from lockstep.deciding.decision import Decision, decision_of
from lockstep.diagnosing.reasons import reasons_of, strongest
from lockstep.exchange.model_loading import load_model
from lockstep.intake.csv_text import read_csv_blocks
from lockstep.kernel.errors import DataError, IntegrityError, SettingsError, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import logger
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.kernel.portable import estimator_of
from lockstep.kernel.settings import Problem, Task, read_problems
from lockstep.learning.preprocessing import raw_types_of
from lockstep.learning.scoring import predict, prediction_columns
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import Contract, enforce, is_of_type, read_contract, typed_as, violations
from lockstep.reading.csvfile import Dialect
from lockstep.reading.dataframes import typed_dataframe
from lockstep.reading.loading import LoadSettings, too_large
from lockstep.saving.sidecar import read_about
from lockstep.tables.table import Table, read_hashed_table

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.pipeline import Pipeline

NO_DECISION = Decision()
PARQUET_ROWS = 100_000
_TYPES = {"text": "string", "date": "datetime"}
"""{type of a column: what a contract calls it}, where that is another word."""
REASONS = 3
"""Columns that --explain names for each row."""


class Scorer(NamedTuple):
    """A model, and what its rows must look like.

    Attributes:
        model: takes raw rows.
        types: {column: type} of the columns that the model uses, as the contract names types.
        dialect, form: how files are written.
        contract: None for no other demand than the types.
        decision: what its sidecar says of its intervals.
    """

    model: Pipeline
    types: dict[str, str]
    dialect: Dialect
    form: Format
    contract: Contract | None
    decision: Decision = NO_DECISION

    @property
    def task(self) -> Task:
        """What the model does."""
        return "classification" if hasattr(self.model, "classes_") else "regression"


def main(argv: Sequence[str] | None = None) -> int:
    """Score the rows. Raises LockstepError; then nothing was written."""
    parser = command_parser("predict", __doc__)
    add_model(parser)
    parser.add_argument("rows", help="a CSV file (also .gz, .zst, .zip), a parquet file, or - for CSV from stdin")
    parser.add_argument("-o", "--output", default="-", metavar="CSV", help="write here (default: -, stdout)")
    parser.add_argument("--problem", metavar="NAME", help="the problem in params.yaml (default: the model's folder)")
    parser.add_argument(
        "--explain",
        action="store_true",
        help=f"add the {REASONS} columns that moved each prediction furthest, and how far: docs/decisions.md",
    )
    parser.add_argument("--sha256", metavar="HEX", help="the model's SHA-256, if nothing here records the file")
    args = parser.parse_args(argv)
    model = model_path(args.model)
    _check_output(args.output, args.rows, model)
    scorer = make_scorer(model, args.problem, sha256=args.sha256)
    background = _training_rows(model, args.problem) if args.explain else None
    with _input(args.rows) as path, tempfile.TemporaryFile("w+", encoding="utf-8", newline="") as spool:
        name = "stdin" if args.rows == "-" else args.rows
        n_rows = 0
        try:
            for frame in _score(scorer, path, name, background):
                frame.to_csv(spool, index=False, header=n_rows == 0, lineterminator="\n")
                n_rows += len(frame)
        except DataError as error:
            raise DataError(str(error).replace(str(path), name)) from None
        if not n_rows:
            raise DataError(f"{name} has no rows below its header. Nothing was written.")
        spool.seek(0)
        _deliver(spool, args.output)
    print(f"{n_rows:,} rows scored{'' if args.output == '-' else f': {args.output}'}", file=sys.stderr)
    if (
        scorer.decision.calibrate == "none"
        and hasattr(scorer.model, "predict_proba")
        and _has_weighted_classes(scorer.model, model)
    ):
        said = (
            "The probabilities are those of equally frequent classes, not of the data (train.class_weight: balanced)."
        )
        print(said, file=sys.stderr)
    return 0


def make_scorer(path: Path, problem: str | None = None, params: Path = PARAMS, *, sha256: str | None = None) -> Scorer:
    """Load the model at ``path`` with the settings and the contract of its problem.

    The problem is ``problem``, or the one that the model's folder is named after, if params.yaml has it.
    """
    model = load_model(path, sha256=sha256)
    about: dict[str, Any] = {}
    decision = NO_DECISION
    with contextlib.suppress(IntegrityError):  # no sidecar, where dvc.lock or --sha256 vouches for the model
        about = read_about(path)
        decision = decision_of(about)
    try:
        encoder, own = model.named_steps["preprocess"], model.named_steps.get("features")
        # Any column that the user's code is given may be one that it uses.
        kinds = raw_types_of(encoder, about.get("features", {})) if own is None else own.raw_types_
    except (AttributeError, KeyError):
        raise IntegrityError(f"{path} is not a model of Lockstep's. Give a file below models/.") from None
    types = {column: _TYPES.get(kind, kind) for column, kind in kinds.items()}
    name = problem or path.resolve().parent.name
    if problem is None and not (params.exists() and name in read_problems(params)):
        return Scorer(model, types, Dialect(), Format(), None, decision)
    load = Problem(params, name).section("load", LoadSettings)
    declared = CONTRACTS / f"{name}.yaml"
    contract = read_contract(declared) if declared.exists() else None
    narrower = {"number": "integer", "datetime": "date"}  # what a contract may say more than the model
    said = contract.types if contract else {}
    types |= {column: said[column] for column, kind in types.items() if said.get(column) == narrower.get(kind, "")}
    return Scorer(model, types, load.dialect, load.form, contract, decision)


def _score(scorer: Scorer, path: Path, name: str, background: Table | None = None) -> Iterator[pd.DataFrame]:
    """Predictions, block by block: row (its number in the file), predicted, the probability of each class, the interval
    or set and, with training rows to compare with, the reasons."""
    before = 0
    for frame, line_starts in _blocks(scorer, path, name):
        rows = _checked(scorer, frame, line_starts, name, first=before == 0)
        if not len(rows):
            continue
        found = predict(scorer.model, rows, scorer.task)
        numbers = np.arange(before + 1, before + len(rows) + 1)
        columns = prediction_columns(found._replace(scores=None)) | interval_columns(scorer.decision, found)
        if background is not None:
            columns |= _reason_columns(scorer, rows, background)
        yield pd.DataFrame({"row": numbers, **columns})
        before += len(rows)


def _training_rows(path: Path, problem: str | None) -> Table:
    """The rows that the model at ``path`` was fitted on. Raises DataError if they are not here, or are others."""
    file = Path(f"data/split/{problem or path.resolve().parent.name}/train.parquet")
    if not file.exists():
        raise DataError(
            f"--explain compares with the training rows, but {file} is not here. Run 'dvc checkout {file}', 'dvc pull "
            f"{file}' or 'dvc repro'; or name the problem: --problem NAME."
        )
    table, sha256 = read_hashed_table(file)
    if read_about(path).get("training_rows", {}).get("sha256") != sha256:
        raise DataError(f"{file} holds other rows than {path} was fitted on. Run 'dvc checkout' or 'dvc repro'.")
    return table


def _reason_columns(scorer: Scorer, rows: pd.DataFrame, background: Table) -> dict[str, Any]:
    """reason_1, contribution_1, ...: the columns that moved each prediction furthest, and how far."""
    known = background.features[list(rows)]
    moved = reasons_of(scorer.model, rows, known, scorer.task, background.positive)
    found = strongest(moved, list(map(str, rows)), REASONS)
    columns: dict[str, Any] = {}
    for number in range(min(REASONS, rows.shape[1])):
        columns[f"reason_{number + 1}"] = [row[number][0] for row in found]
        columns[f"contribution_{number + 1}"] = [row[number][1] for row in found]
    return columns


def _blocks(scorer: Scorer, path: Path, name: str) -> Iterator[tuple[pd.DataFrame, np.ndarray | None]]:
    """(typed rows, the lines on which they begin or None)"""
    forms = scorer.contract.forms(scorer.form) if scorer.contract else {}
    if path.suffix.lower() == ".parquet":
        for frame in _parquet_blocks(path, name, scorer.types):
            typed = typed_dataframe(frame, name, scorer.types, forms).frame if len(frame.columns) else frame
            _check_types(typed, scorer.types, name)
            yield typed, None
        return
    for text in read_csv_blocks(path, scorer.dialect):
        kept = text.without([column for column in text.cells.column_names if column not in scorer.types])
        yield typed_frame(kept, name, scorer.form, scorer.types, forms).frame, text.line_starts


def _parquet_blocks(path: Path, name: str, columns: Container[str]) -> Iterator[pd.DataFrame]:
    """Those of the columns that the file has, as pandas types them."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(PARQUET_ROWS):
                kept = [number for number, column in enumerate(batch.schema.names) if column in columns]
                yield batch.select(kept).to_pandas()
    except (OSError, ValueError) as error:
        raise DataError(f"{name} is not a parquet file that can be read: {error}.") from None


def _check_types(frame: pd.DataFrame, types: Mapping[str, str], name: str) -> None:
    """Refuse columns of other types than the model was fitted on, or the contract declares whole; the cells of a CSV
    file have those by now."""
    wrong = [
        f"'{column}' is {typed_as(frame[column])}, the model takes {'text' if kind == 'string' else kind}"
        for column, kind in types.items()
        if column in frame and not is_of_type(frame[column], kind)
    ]
    if wrong:
        raise DataError(
            f"{name} has columns of the wrong type: {some(wrong, 10)}. Convert them where they come from: the zeros of "
            "a code such as 00105 are lost once it is a number."
        )


def _checked(
    scorer: Scorer, frame: pd.DataFrame, line_starts: np.ndarray | None, name: str, *, first: bool
) -> pd.DataFrame:
    """The columns that the model uses; missing ones filled with missing values if the contract allows it."""
    absent = [column for column in scorer.types if column not in frame]
    if absent:
        if scorer.contract is None or scorer.contract.lockstep.severity.columns == "error":
            raise DataError(
                f"{name} lacks columns that the model uses: {some(absent, 20)}. Add them, or set "
                "lockstep.severity.columns in the contract to warning to have them imputed."
            )
        if first:
            logger.warning("%s lacks columns that the model uses, they are imputed: %s", name, some(absent, 20))
    if scorer.contract is not None:
        unused = [field.name for field in scorer.contract.fields if field.name not in frame]
        found = violations(frame, scorer.contract, without=unused)
        # Of a few rows it is neither wrong to be few nor, block by block, to be seen as unique.
        enforce((broken for broken in found if broken.rule not in ("rows", "unique", "columns")), name, line_starts)
    frame = frame.assign(**dict.fromkeys(absent, np.nan))[list(scorer.types)]
    if wrong := too_large(frame, name, line_starts):
        raise DataError(f"{wrong} Correct those cells.")
    return frame


@contextlib.contextmanager
def _input(rows: str) -> Iterator[Path]:
    """The path of the rows; those of stdin are put into a temporary file first."""
    if rows != "-":
        if not Path(rows).is_file():
            what = "is not a file" if Path(rows).exists() else "does not exist"
            raise DataError(f"{rows} {what}. Give a CSV file, packed or not, a parquet file, or - for stdin.")
        yield Path(rows)
        return
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield Path(file.name)


def _has_weighted_classes(model: Pipeline, path: Path) -> bool:
    """Whether the classes of the model at ``path`` were weighted: some estimators know it, of all the sidecar does."""
    weight = getattr(estimator_of(model), "class_weight", None)
    with contextlib.suppress(IntegrityError):  # no sidecar, where dvc.lock or --sha256 vouches for the model
        weight = weight or read_about(path).get("settings", {}).get("train", {}).get("class_weight")
    return weight is not None


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
