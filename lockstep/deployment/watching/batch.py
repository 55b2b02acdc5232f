"""Compares a batch of new rows with the rows that a model was trained and tested on."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from lockstep.comparing.tables.changes import (
    NO_SHIFT,
    SHIFTED,
    ColumnComparison,
    compare_column,
    with_verdicts,
)
from lockstep.comparing.verdicts import WORSE, overall_verdict
from lockstep.deployment.watching.sample_verdicts import Sample, SampleMetric, TooFew, compare_samples
from lockstep.kernel.log import counted, heartbeat
from lockstep.learning.scoring import Average, Predictions, Scorer, at
from lockstep.steps.evaluating.design import LEAST_UNITS, Design
from lockstep.steps.splitting.two_samples import shared_codes
from lockstep.tables.statistics import n_distinct
from lockstep.tables.table import Table, column_type

import msgspec
import numpy as np
import pandas as pd

SHIFT_ALPHA = 0.01
"""The chance that any shift is found in a batch that has none. Lower than that of ``data-diff``, since batches come
again and again."""
LEAST_ROWS = LEAST_UNITS
"""Fewer rows than that can show no shift but the crudest."""
_MOSTLY_DIFFERENT = 0.5
"""A column of texts with more different values than this share of its training rows has no levels: nearly each new row
has one that is unknown."""
ODD = "odd rows"
"""What the comparison of the shares of odd rows is called."""

Found = Literal["shifted", "worse"]


class Reference(NamedTuple):
    """What a batch is compared with.

    Attributes:
        train: the rows that the model was fitted on.
        test: the rows that evaluated it.
        predictions: of the test rows.
    """

    train: Table
    test: Table
    predictions: Predictions


class Batch(NamedTuple):
    """New rows.

    Attributes:
        rows: (n_rows, n_features) the columns that the model uses, typed as its training rows.
        predictions: of the rows.
        known: (n_known,) the positions of the rows whose truth is known; None where no column of it was named.
        y: (n_known,) the truth, of the type of the training rows' target.
        groups: (n_rows,) what each row belongs to, where the split was by group and the batch says it.
        weights: (n_rows,) how much each row counts, where the test rows have weights and the batch has.
    """

    rows: pd.DataFrame
    predictions: Predictions
    known: np.ndarray | None = None
    y: np.ndarray | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None


class WatchedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the training rows and of the batch; ``odd_rows`` are the batch's rows that this column makes odd,
    None where it makes none: see odd_cells."""

    compared: ColumnComparison
    odd_rows: int | None


class OddRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that look like nothing in the training rows: their share of the test rows and of the batch, and the test
    whether these differ."""

    test: float
    batch: float
    compared: ColumnComparison


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch shows.

    Attributes:
        verdict: on the shift and, where they were compared, on the metrics: "no detectable shift, worse".
        found: "shifted": a column, the predictions or the share of odd rows; "worse": a metric. Empty for neither.
        rows, rows_with_truth: of the batch; the latter None where no column of the truth was named.
        columns: in the order of the training rows.
        predictions: of the test rows and of the batch: what is predicted and, of two classes, its score.
        metrics: None where no column of the truth was named.
        level: the chance of any false shift.
        notes: what else must be known to read the metrics.
    """

    verdict: str
    found: tuple[Found, ...]
    rows: int
    rows_with_truth: int | None
    columns: tuple[WatchedColumn, ...]
    odd: OddRows
    predictions: tuple[ColumnComparison, ...]
    metrics: tuple[SampleMetric, ...] | TooFew | None
    level: float
    notes: tuple[str, ...]

    @property
    def shifted_columns(self) -> list[str]:
        """The names of the columns that shifted."""
        return [item.compared.column for item in self.columns if item.compared.verdict == SHIFTED]


def watch_batch(reference: Reference, batch: Batch, average: Average = "macro", own: Sequence[Scorer] = ()) -> Watched:
    """Compare a batch with the rows that its model was trained and tested on.

    The columns are compared with the training rows, predictions and odd rows with those of the test rows, which the
    model was not fitted on either. All tests for a shift are corrected together.

    Args:
        reference: those rows.
        batch: the new ones, LEAST_ROWS at least.
        average: of precision, recall and F1.
        own: metrics beside the built-in ones.
    """
    known, new = reference.train.frame, batch.rows
    rows = pd.DataFrame({name: _typed_as(new[name], known[name]) for name in new})
    odd = odd_cells(known, rows)
    are_odd = [
        np.any([*cells.values(), np.zeros(len(side), dtype=bool)], axis=0)
        for side, cells in ((reference.test, odd_cells(known, reference.test.frame[list(rows)])), (rows, odd))
    ]
    scores = [_score_columns(found) for found in (reference.predictions, batch.predictions)]
    pairs = [(known[name], rows[name]) for name in rows]
    pairs += [(scores[0][name], scores[1][name]) for name in scores[0]]
    pairs.append((pd.Series(are_odd[0], name=ODD), pd.Series(are_odd[1], name=ODD)))
    classes = {"predicted"} if reference.train.task == "classification" else set()
    n_columns = rows.shape[1]
    with heartbeat("comparing columns"):
        columns = [
            compare_column(
                before, after, shared_codes(before, after), as_classes=number >= n_columns and after.name in classes
            )
            for number, (before, after) in enumerate(counted(pairs, "columns"))
        ]
    compared = with_verdicts(columns, SHIFT_ALPHA)
    with heartbeat("comparing metrics"):
        metrics, notes = _metrics(reference, batch, average, own)
    is_shifted = any(item.verdict == SHIFTED for item in compared)
    measured = metrics if isinstance(metrics, tuple) else ()
    found: dict[Found, bool] = {"shifted": is_shifted, "worse": any(item.verdict == WORSE for item in measured)}
    verdicts = [SHIFTED if is_shifted else NO_SHIFT, *([overall_verdict(measured)] if measured else [])]
    return Watched(
        verdict=", ".join(verdicts),
        found=tuple(what for what, is_found in found.items() if is_found),
        rows=len(rows),
        rows_with_truth=None if batch.known is None else len(batch.known),
        columns=tuple(
            WatchedColumn(compared=item, odd_rows=int(odd[item.column].sum()) if item.column in odd else None)
            for item in compared[:n_columns]
        ),
        odd=OddRows(test=float(are_odd[0].mean()), batch=float(are_odd[1].mean()), compared=compared[-1]),
        predictions=tuple(compared[n_columns:-1]),
        metrics=metrics,
        level=SHIFT_ALPHA,
        notes=notes,
    )


def odd_cells(known: pd.DataFrame, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Find the cells that are unlike every training row's, by column: (n_rows,) bool.

    A number or a date outside their range (the box around the training rows: D. Brooks, S. Carroll, W. Verdini,
    "Characterizing the domain of a regression model", The American Statistician 42 (1988) 187-190), a level that none
    has, a missing value where none misses one. Columns of texts that have no levels are left out.

    Args:
        known: the training rows.
        rows: the others, whose columns are of the same types.
    """
    found = {}
    for name in map(str, rows):
        column, new = known[name], rows[name]
        present, missing = column.dropna(), new.isna().to_numpy()
        kind = column_type(column)
        if kind == "text" and n_distinct(column) > _MOSTLY_DIFFERENT * len(column):
            continue
        if not len(present):
            unlike = ~missing
        elif kind in ("number", "date"):
            unlike = ((new < present.min()) | (new > present.max())).to_numpy(dtype=bool)
        else:
            unlike = ~new.isin(present.unique()).to_numpy() & ~missing
        found[name] = unlike if column.isna().any() else unlike | missing
    return found


def _typed_as(new: pd.Series, known: pd.Series) -> pd.Series:
    """A column of a batch; one without any value as of the type of the training rows' column."""
    return new if new.notna().any() else known.iloc[:0].reindex(new.index)


def _score_columns(found: Predictions) -> pd.DataFrame:
    """What is predicted and, of two classes, what ranks the rows, as columns to be compared."""
    columns = {"predicted": pd.Series(found.values).infer_objects()}
    if columns["predicted"].dtype == object:
        columns["predicted"] = columns["predicted"].astype("str")
    if found.scores is not None and found.classes is not None:
        what = "probability" if found.probabilities is not None else "score"
        columns[f"{what} of {found.classes[1]}"] = pd.Series(found.scores)
    return pd.DataFrame(columns)


def _metrics(
    reference: Reference, batch: Batch, average: Average, own: Sequence[Scorer]
) -> tuple[tuple[SampleMetric, ...] | TooFew | None, tuple[str, ...]]:
    """Compare the metrics, where the truth is known; and what must be known to read them."""
    test = reference.test
    if batch.known is None or batch.y is None:
        return None, ()
    design, in_time, notes = Design.of_table(test), test.time is not None, []
    new_groups, new_weights = (None if cells is None else cells[batch.known] for cells in (batch.groups, batch.weights))
    if test.group is not None and new_groups is None:
        notes.append(
            f"The rows of one '{test.group}' are not independent, but the batch has no such column: intervals and "
            "p-values are too sure."
        )
    if test.weights is not None and new_weights is None:
        notes.append(f"The test rows are weighted by '{test.weight}', which the batch has not: its rows count alike.")
    new = Design.of(batch.y, stratified=False, groups=new_groups, in_time=in_time, weights=new_weights)
    if reference.train.task == "classification":
        unknown = sorted({str(name) for name in set(batch.y.tolist()) - set(reference.train.labels.tolist())})
        if unknown:
            notes.append(
                f"{len(unknown)} classes of the truth are in no training row: every row of them counts as wrong."
                if len(unknown) > 1
                else "A class of the truth is in no training row: every row of it counts as wrong."
            )
    found = compare_samples(
        Sample(test.labels, reference.predictions, design),
        Sample(batch.y, at(batch.predictions, batch.known), new),
        test.task,
        average,
        own,
    )
    return found, tuple(notes)
