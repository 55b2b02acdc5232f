"""The subgroups of the test rows in which the model errs most."""

import itertools
import math
from collections.abc import Callable

from lockstep.kernel.log import counted
from lockstep.kernel.settings import Task
from lockstep.steps.diagnosing.diagnosis import MAX_TEXT, Slice, Slices
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.intervals import CONFIDENCE, mean_interval, wilson
from lockstep.tables.dates import date_of, numbers_of, shown_date
from lockstep.tables.statistics import has_more_levels
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd

QUARTERS = 4
"""Parts of (nearly) as many rows each that a column of numbers or dates is cut into, to be looked at as subgroups."""
_MAX_LEVELS = 50
"""Levels of a text column that are looked at as subgroups: the most frequent ones."""
NOTABLE = 1.1
"""A subgroup is a weak spot only if its error is so many times that of all rows."""
SIZES, SIZE_ROWS = 10, 50
"""Predictions are put into so many sizes at most, of at least so many test rows each."""
_MISSING = "(missing)"
_SAME = 1e-4
"""Dates that differ by less of a day, or of a second, are the same: days are floats."""


def slices_of(
    features: pd.DataFrame,
    errors: np.ndarray,
    predicted: np.ndarray,
    task: Task,
    settings: DiagnoseSettings,
    design: Design | None = None,
) -> Slices:
    """The subgroups in which the model errs most: levels of texts and booleans, quarters of numbers and dates.

    Where targets are large, so are errors, and the worst subgroups of a regression would be those with large targets.
    So each row's error is taken in relation to that of the rows with predictions of about the same size.

    The worst of many subgroups looks bad by chance alone; so the intervals are widened until they hold for all of the
    subgroups at once (Bonferroni), and a subgroup stands out only if its interval excludes the error of all rows. Rows
    of one group, or of one block of time, are not independent: the intervals are then of those units, and a subgroup of
    a single one is not looked at.

    Args:
        features: (n_rows, n_features) raw.
        errors: (n_rows,), of errors_of.
        predicted: (n_rows,) of a regression the prediction.
        task: of the problem.
        settings: the section ``diagnose``: rows that a subgroup must have, subgroups to give.
        design: how the rows were drawn; None: each by itself.
    """
    least, most = settings.slice_rows, settings.slices
    units = None if design is None or design.kind == "rows" else design.units
    groups: list[tuple[str, str, np.ndarray]] = []
    known: set[bytes] = set()
    for name in counted(features.columns, "features"):
        for level, rows in _levels(features[name]):
            # The same rows by another column's name are no other subgroup.
            if least <= len(rows) < len(errors) and rows.tobytes() not in known:
                if units is not None and np.ptp(units[rows]) == 0:
                    continue
                known.add(rows.tobytes())
                groups.append((str(name), level, rows))
    overall = float(np.mean(errors)) if len(errors) else 0.0
    judged = _against_size(errors, predicted) if task == "regression" else errors
    typical = float(np.mean(judged)) if len(judged) else 0.0
    simultaneous = 1 - (1 - CONFIDENCE) / max(1, len(groups))
    found = []
    for column, level, rows in groups:
        inside = judged[rows]
        if task == "classification" and units is None:
            low, high = wilson(round(float(inside.sum())), len(inside), simultaneous)
        else:
            low, high = mean_interval(inside, simultaneous, units=None if units is None else units[rows])
            high = high if task == "regression" else min(1.0, high)
        mean = float(np.mean(inside))
        part = Slice(
            column=column,
            level=level[:MAX_TEXT],
            rows=len(rows),
            error=float(np.mean(errors[rows])),
            ratio=mean if task == "regression" else None,
            low=max(0.0, low),
            high=high,
            stands_out=low > typical,
        )
        found.append((mean, part))
    # By what is known to be bad rather than by what looks bad: the lower end of the interval, then the error itself.
    found.sort(key=lambda entry: (-entry[1].low, -entry[0], entry[1].column, entry[1].level))
    worse = [part for mean, part in found if mean > NOTABLE * typical][:most]
    return Slices(worse, len(groups), least, overall)


def _against_size(errors: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(n_rows,): each row's error over the mean error of the rows with predictions of about the same size; 0 where
    these have no error. Sizes are (nearly) as many rows each, in the order of the predictions."""
    count = max(1, min(SIZES, len(errors) // SIZE_ROWS))
    edges = np.unique(np.quantile(predicted, np.linspace(0, 1, count + 1)[1:-1])) if count > 1 else np.array([])
    sizes = np.searchsorted(edges, predicted, side="right")
    means = np.bincount(sizes, errors) / np.maximum(1, np.bincount(sizes))
    expected = means[sizes]
    ratios: np.ndarray = np.divide(errors, expected, out=np.zeros(len(errors)), where=expected > 0)
    return ratios


def _levels(column: pd.Series) -> list[tuple[str, np.ndarray]]:
    """(level, positions of its rows); rows without a value are a level of their own."""
    missing = column.isna().to_numpy()
    found = [(_MISSING, np.flatnonzero(missing))]
    kind = column_type(column)
    if kind in ("number", "date") and has_more_levels(column, QUARTERS):
        values = numbers_of(column).to_numpy(dtype="float64", na_value=np.nan)
        shown = _shown_dates(values[~missing]) if kind == "date" else "{:.6g}".format
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, QUARTERS + 1)))
        for number, (low, high) in enumerate(itertools.pairwise(edges)):
            last = number == len(edges) - 2
            inside = (values >= low) & ((values <= high) if last else (values < high))
            level = f"{shown(low)} to {'' if last else 'below '}{shown(high)}"
            found.append((shown(low) if last and shown(low) == shown(high) else level, np.flatnonzero(inside)))
        return found
    codes, levels = pd.factorize(column, sort=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    for index in np.argsort(-counts, kind="stable")[:_MAX_LEVELS]:
        value = levels[index]
        text = f"{value:.6g}" if kind == "number" else shown_date(value) if kind == "date" else str(value)
        found.append((text, np.flatnonzero(codes == index)))
    return found


def _shown_dates(values: np.ndarray) -> Callable[[float], str]:
    """How an edge among dates, (n_rows,) in days, is written: of whole days, hours, minutes or seconds as the next such
    one, which has the same dates before it; a quantile lies between two of them, at a midday that no row has."""
    for per_day in (1, 24, 24 * 60, 24 * 60 * 60):
        if np.all(np.abs(values * per_day - np.round(values * per_day)) < _SAME):
            return lambda edge: date_of(math.ceil(edge * per_day - _SAME) / per_day)
    return date_of
