"""New rows to predictions, block by block: what ``predict`` does with a file, and ``serve`` with a request.

The rows are read as strictly as training data; their types are those that the model was fitted on, and the problem's
data contract guards them.
"""

import contextlib
import os
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.deciding.conformal import interval_columns
from lockstep.deciding.decision import NO_DECISION, Decision, decision_of
from lockstep.deployment.exchange.model_loading import load_model
from lockstep.deployment.serving.background import background_of, columns_taken
from lockstep.deployment.serving.encoding import with_quick_encoder
from lockstep.deployment.serving.row_files import table_of
from lockstep.intake.detecting.footers import ends_with_footer
from lockstep.intake.sources.snapshots import NewRows
from lockstep.kernel.errors import DataError, IntegrityError, Setting, absent_columns, some
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.kernel.portable import estimator_of
from lockstep.kernel.settings import Problem, Task, read_problems
from lockstep.learning.scoring import predict, prediction_columns
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import (
    Contract,
    Violation,
    enforce,
    is_of_type,
    read_contract,
    typed_as,
    violations,
)
from lockstep.reading.csvfile import CsvFile, Dialect, TextTable
from lockstep.reading.dataframes import typed_dataframe
from lockstep.reading.date_formats import DATE_TYPES
from lockstep.reading.loading import LoadSettings, too_large
from lockstep.reading.number_marks import Marks
from lockstep.reading.source import Source, open_source
from lockstep.saving.sidecar import read_about
from lockstep.steps.diagnosing.reasons import Background, reasons_of, strongest
from lockstep.tables.table import with_columns

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from sklearn.pipeline import Pipeline

PARQUET_ROWS = 100_000
CONTRACT_TYPES = {"text": "string", "date": "datetime"}
"""{type of a column: what a contract calls it}, where that is another word."""
REASONS = 3
"""Columns that are named for each row, where reasons are asked for."""
FRAME = "the DataFrame"
"""What messages call a DataFrame."""
ROW_NUMBER = "row"
"""The first column of predictions: the row's number, from 1."""


class RefusedRowsError(DataError):
    """Rows that break the contract.

    Args:
        parts: see LockstepError.
        broken: the rules that they break; their rows are those of one block.
        before: the rows before that block.
        line_starts: (n_rows,) the line on which each row of it begins; None where there are no lines.
    """

    def __init__(self, *parts: str, broken: Collection[Violation], before: int, line_starts: np.ndarray | None) -> None:
        super().__init__(*parts)
        self.broken, self.before, self.line_starts = broken, before, line_starts


class RefusedColumnsError(DataError):
    """Columns that are missing, or that no model computes with.

    Args:
        parts: see LockstepError.
        rule: the rule that they break, as the contract calls it: columns or range.
        columns: their names.
    """

    def __init__(self, *parts: str, rule: str, columns: Sequence[str]) -> None:
        super().__init__(*parts)
        self.rule, self.columns = rule, columns


class RowScorer(NamedTuple):
    """A model, and what its rows must look like.

    Attributes:
        model: takes raw rows.
        types: {column: type} of the columns that the model uses, as the contract names types.
        dialect, form: how files are written.
        contract: None for no other demand than the types.
        decision: what its sidecar says of its intervals.
        with_offset: the columns that by its sidecar it was fitted on with times that said their offset from UTC.
    """

    model: Pipeline
    types: dict[str, str]
    dialect: Dialect
    form: Format
    contract: Contract | None
    decision: Decision = NO_DECISION
    with_offset: tuple[str, ...] = ()

    @property
    def forms(self) -> dict[str, Format]:
        """{column: its form} of those that are not written as ``form`` says, and of those of dates: as the contract
        declares or, where it says nothing of a column of times, as they were in the rows that the model was fitted on.
        """
        times = [name for name, kind in self.types.items() if kind in DATE_TYPES]
        fitted_on = {
            name: self.form._replace(marks=Marks(offset=name in self.with_offset), declared_by="model")
            for name in times
        }
        return fitted_on | (self.contract.forms(self.form) if self.contract else {})

    @property
    def task(self) -> Task:
        """What the model does."""
        return "classification" if hasattr(self.model, "classes_") else "regression"


class RowBlock(NamedTuple):
    """Some of the rows to score.

    Attributes:
        frame: (n_rows, n_columns), typed; of the columns that the model uses, those that are there.
        line_starts: (n_rows,) the line of the file on which each begins; None where there are no lines.
        others: the other columns that are there.
        ids: (n_rows,) what names each row to whoever asked; None where nothing does.
    """

    frame: pd.DataFrame
    line_starts: np.ndarray | None
    others: tuple[str, ...] = ()
    ids: list[Any] | None = None


def make_scorer(
    path: Path,
    problem: str | None = None,
    params: Path = PARAMS,
    *,
    sha256: str | None = None,
    contracts: Path = CONTRACTS,
) -> RowScorer:
    """Load the model at ``path`` with the settings and the contract of its problem.

    The problem is ``problem``, or the one that the model's folder is named after, if params.yaml has it.
    """
    model = load_model(path, sha256=sha256)
    about: dict[str, Any] = {}
    decision, with_offset = NO_DECISION, ()
    with contextlib.suppress(IntegrityError):  # no sidecar, where dvc.lock or --sha256 vouches for the model
        about = read_about(path)
        decision, with_offset = decision_of(about), tuple(about.get("times_with_offset", ()))
    try:
        kinds = columns_taken(model, about.get("features", {}))
    except (AttributeError, KeyError):
        raise IntegrityError(f"{path} is not a model of Lockstep's. Give a file below models/.") from None
    model = with_quick_encoder(model, "preprocess")
    types = {column: CONTRACT_TYPES.get(kind, kind) for column, kind in kinds.items()}
    name = problem or path.resolve().parent.name
    if problem is None and not (params.exists() and name in read_problems(params)):
        return RowScorer(model, types, Dialect(), Format(declared_by="model"), None, decision, with_offset)
    load = Problem(params, name).section("load", LoadSettings)
    declared = contracts / f"{name}.yaml"
    contract = read_contract(declared) if declared.exists() else None
    narrower = {"number": "integer", "datetime": "date"}  # what a contract may say more than the model
    said = contract.types if contract else {}
    types |= {column: said[column] for column, kind in types.items() if said.get(column) == narrower.get(kind, "")}
    form = load.form if contract else load.form._replace(declared_by="model")
    return RowScorer(model, types, load.dialect, form, contract, decision, with_offset)


def blocks_of(scorer: RowScorer, path: Path, name: str, id_column: str | None = None) -> Iterator[RowBlock]:
    """The rows of a CSV file, packed or not, or of a parquet file.

    Args:
        scorer: the model.
        path: the file.
        name: what messages call it.
        id_column: of a CSV file, the column whose texts are the rows' ids, if it is there.

    Raises:
        DataError: a cell, or the file, is not as it must be.
    """
    if path.suffix.lower() == ".parquet":
        for frame in _parquet_blocks(path, name, scorer.types):
            yield block_of(scorer, frame, name)
        return
    forms = scorer.forms
    for text in _csv_blocks(path, scorer):
        others = tuple(column for column in text.cells.column_names if column not in scorer.types)
        ids = text.cells.column(id_column).to_pylist() if id_column in others else None
        typed = typed_frame(text.without(others), name, scorer.form, scorer.types, forms).frame
        yield RowBlock(typed, text.line_starts, others, ids)


def block_of(scorer: RowScorer, frame: pd.DataFrame, name: str) -> RowBlock:
    """The rows of a DataFrame, which messages call ``name``. Raises DataError, as blocks_of."""
    others = tuple(str(column) for column in frame if column not in scorer.types)
    frame = frame.drop(columns=list(others))
    typed = typed_dataframe(frame, name, scorer.types, scorer.forms).frame if len(frame.columns) else frame
    _check_types(typed, scorer.types, name)
    return RowBlock(typed, None, others)


def predict_rows(
    model: str | Path,
    rows: pd.DataFrame | str | Path,
    *,
    problem: str | None = None,
    explain: bool = False,
    sha256: str | None = None,
) -> pd.DataFrame:
    """What the command ``predict`` writes, as a DataFrame, (n_rows, ...): row (its number, from 1), predicted, the
    probability of each class, the prediction interval or set and, with ``explain``, the reasons.

    Args:
        model: the file of a saved model.
        rows: raw rows, or the path of a file with them: CSV, packed or not, parquet, an Excel workbook with one sheet
            that is not empty, or JSON lines; other columns may be there than the model uses.
        problem: the problem in params.yaml whose data contract guards the rows; None for the one that the model's
            folder is named after, if there is one.
        explain: whether to name the columns that moved each prediction furthest, and how far. The training rows that
            the stages wrote must be here, or what ``run_pipeline`` wrote beside the model.
        sha256: the model's SHA-256, if nothing here records the file.

    Raises:
        DataError: rows that are not as they must be, or none; neither a path nor a DataFrame.
        IntegrityError: the model's bytes are not those that are recorded.
    """
    if not isinstance(rows, str | os.PathLike | pd.DataFrame):
        raise DataError(
            f"predict_rows takes the path of a file, or a pandas DataFrame; this is of type '{type(rows).__name__}'. "
            f"Make a DataFrame of it, a row for each one to predict: "
            f"{'rows.to_frame().T' if isinstance(rows, pd.Series) else 'pandas.DataFrame(rows, columns=[...])'}."
        )
    path = Path(model)
    scorer = make_scorer(path, problem, sha256=sha256)
    background = background_of(path, [*scorer.types], problem, "explain=True") if explain else None
    if isinstance(rows, pd.DataFrame):
        return _joined(scorer, [block_of(scorer, rows, FRAME)], FRAME, background)
    with table_of(NewRows(Path(rows)), scorer.form.missing) as (file, name):
        return _joined(scorer, blocks_of(scorer, file, name), name, background)


def _joined(scorer: RowScorer, blocks: Iterable[RowBlock], name: str, background: Background | None) -> pd.DataFrame:
    found = [pd.DataFrame(columns) for columns in predict_blocks(scorer, blocks, name, background)]
    if not found:
        raise DataError(f"{name} has no rows. Give one at least.")
    return pd.concat(found, ignore_index=True)


def _csv_blocks(path: Path, scorer: RowScorer) -> Iterator[TextTable]:
    """The rows of a file in blocks of about CHUNK bytes: for files larger than memory."""
    with _written_as_the_table(scorer.dialect):
        source = open_source(path, scorer.dialect.encoding)
        file = CsvFile(path, _dialect_of_rows(path, source, scorer), source)
        file.check_delimiter()
        for block in file.blocks():
            yield TextTable(file.cells(block), block.line_starts)
            file.source.forget(block.end)


def _dialect_of_rows(path: Path, source: Source, scorer: RowScorer) -> Dialect:
    """How a file of new rows is written: as the table of the problem, but that it may do without the title above the
    header, and without the total below the rows; what may be a row is never left out."""
    dialect, n_lines = scorer.dialect, scorer.dialect.skip_footer_lines
    if dialect.skip_lines:
        with contextlib.suppress(DataError):
            plain = dialect._replace(skip_lines=0, skip_footer_lines=0)
            if scorer.types.keys() <= {*CsvFile(path, plain, source).names}:
                logger.info("%s begins with its header: load.skip_lines is not used", path)
                dialect = dialect._replace(skip_lines=0)
    if n_lines:
        lines = "the last line" if n_lines == 1 else f"the last {n_lines} lines"
        if ends_with_footer(path, dialect, source):
            logger.warning("%s: %s left out, as in the problem's table", path, lines)
        else:
            logger.info("%s: %s taken for rows: load.skip_footer_lines is not used", path, lines)
            dialect = dialect._replace(skip_footer_lines=0)
    return dialect


@contextlib.contextmanager
def _written_as_the_table(dialect: Dialect) -> Iterator[None]:
    """Have an error that advises to change a setting of the problem's table advise to write the new rows as that is."""
    try:
        yield
    except DataError as error:
        place = next((number for number, part in enumerate(error.parts) if isinstance(part, Setting)), None)
        key = "" if place is None else error.parts[place].removeprefix("load.")
        if key not in Dialect._fields:
            raise
        said = "".join(error.parts[:place])
        said = said[: said.rfind(". ") + 1] or f"{said}."
        value = getattr(dialect, key)
        raise DataError(
            f"{said} New rows are read as the problem's table is (load.{key}: {value!r}): write them so."
        ) from None


def predict_blocks(
    scorer: RowScorer, blocks: Iterable[RowBlock], name: str, background: Background | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """Predictions, block by block, as columns, (n_rows,) each: row (its number), id where the block has them,
    predicted, the probability of each class, the interval or set and, with training rows to compare with, the reasons.

    Raises:
        RefusedRowsError: a row breaks a rule of the contract that is an error.
        RefusedColumnsError: a column is missing, or a number is too large to compute with.
    """
    before = 0
    for block in blocks:
        rows = checked_rows(scorer, block, name, before)
        if not len(rows):
            continue
        found = predict(scorer.model, rows, scorer.task)
        columns = {ROW_NUMBER: np.arange(before + 1, before + len(rows) + 1)}
        columns |= {} if block.ids is None else {"id": np.array(block.ids, dtype=object)}
        columns |= prediction_columns(found._replace(scores=None)) | interval_columns(scorer.decision, found)
        if background is not None:
            columns |= _reason_columns(scorer, rows, background)
        yield columns
        before += len(rows)


def note_of(scorer: RowScorer, path: Path) -> str:
    """What is to be known of the probabilities of the model at ``path``; "" for nothing."""
    if (
        scorer.decision.calibrate == "none"
        and hasattr(scorer.model, "predict_proba")
        and _has_weighted_classes(scorer.model, path)
    ):
        return (
            "The probabilities are those of equally frequent classes, not of the data (train.class_weight: balanced)."
        )
    return ""


def _reason_columns(scorer: RowScorer, rows: pd.DataFrame, background: Background) -> dict[str, np.ndarray]:
    """reason_1, contribution_1, ...: the columns that moved each prediction furthest, and how far."""
    moved = reasons_of(scorer.model, rows, background, scorer.task)
    found = strongest(moved, list(map(str, rows)), REASONS)
    columns: dict[str, np.ndarray] = {}
    for number in range(min(REASONS, rows.shape[1])):
        columns[f"reason_{number + 1}"] = np.array([row[number][0] for row in found], dtype=object)
        columns[f"contribution_{number + 1}"] = np.array([row[number][1] for row in found])
    return columns


def _parquet_blocks(path: Path, name: str, columns: Container[str]) -> Iterator[pd.DataFrame]:
    """Those of the columns that the file has, as pandas types them."""
    try:
        with (
            pq.ParquetFile(path) as file,
            heartbeat(f"reading {name}", file.metadata.num_rows, "rows") as progress,
        ):
            for batch in file.iter_batches(PARQUET_ROWS):
                kept = [number for number, column in enumerate(batch.schema.names) if column in columns]
                yield batch.select(kept).to_pandas()
                progress.advance(batch.num_rows)
    except (OSError, ValueError) as error:
        raise DataError(f"{name} is not a parquet file that can be read: {error}.") from None


def _check_types(frame: pd.DataFrame, types: Mapping[str, str], name: str) -> None:
    """Refuse columns of other types than the model was fitted on, or the contract declares whole; the cells of a CSV
    file have those by now."""
    wrong = {
        column: (typed_as(frame[column]), "text" if kind == "string" else kind)
        for column, kind in types.items()
        if column in frame and not is_of_type(frame[column], kind)
    }
    if wrong:
        # Of a number nobody knows any more what text it was read from; other types lose nothing.
        lost = ("number", "text") in wrong.values()
        where = " where they come from: the zeros of a code such as 00105 are lost once it is a number" if lost else ""
        each = some([f"'{column}' is {kind}, the model takes {own}" for column, (kind, own) in wrong.items()], 10)
        raise DataError(f"{name} has columns of the wrong type: {each}. Convert them{where}.")


def checked_rows(scorer: RowScorer, block: RowBlock, name: str, before: int) -> pd.DataFrame:
    """The columns that the model uses; missing ones filled with missing values if the contract allows it. Raises as
    ``predict_blocks``."""
    frame, line_starts = block.frame, block.line_starts
    absent = [column for column in scorer.types if column not in frame]
    if absent:
        if scorer.contract is None or scorer.contract.lockstep.severity.columns == "error":
            imputed = ", or set lockstep.severity.columns in the contract to warning to have them imputed"
            raise RefusedColumnsError(
                f"{name} lacks columns that the model uses: {absent_columns(absent, block.others)}. Add them"
                f"{imputed if scorer.contract else ''}.",
                rule="columns",
                columns=absent,
            )
        if before == 0:
            logger.warning("%s lacks columns that the model uses, they are imputed: %s", name, some(absent, 20))
    if scorer.contract is not None:
        unused = [field.name for field in scorer.contract.fields if field.name not in frame]
        found = violations(frame, scorer.contract, without=unused)
        # Of a few rows it is neither wrong to be few nor, block by block, to be seen as unique.
        found = [broken for broken in found if broken.rule not in ("rows", "unique", "columns")]
        try:
            enforce(found, name, line_starts)
        except DataError as error:
            grave = [broken for broken in found if broken.severity == "error"]
            raise RefusedRowsError(*error.parts, broken=grave, before=before, line_starts=line_starts) from None
    if absent:
        frame = with_columns(frame, dict.fromkeys(absent, np.nan))
    if list(frame) != list(scorer.types):
        frame = frame[list(scorer.types)]
    if wrong := too_large(frame, name, line_starts):
        column = next(column for column in scorer.types if too_large(frame[[column]], name, line_starts))
        raise RefusedColumnsError(f"{wrong} Correct those cells.", rule="range", columns=[column])
    return frame


def _has_weighted_classes(model: Pipeline, path: Path) -> bool:
    """Whether the classes of the model at ``path`` were weighted: some estimators know it, of all the sidecar does."""
    weight = getattr(estimator_of(model), "class_weight", None)
    with contextlib.suppress(IntegrityError):  # no sidecar, where dvc.lock or --sha256 vouches for the model
        weight = weight or read_about(path).get("settings", {}).get("train", {}).get("class_weight")
    return weight is not None
