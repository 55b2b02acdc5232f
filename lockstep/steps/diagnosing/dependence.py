"""How the prediction depends on one feature at a time."""

from collections.abc import Sequence
from typing import Any

from lockstep.kernel.log import heartbeat
from lockstep.learning.scoring import Predictions, predict
from lockstep.steps.diagnosing.diagnosis import Dependence
from lockstep.steps.diagnosing.row_errors import cell
from lockstep.tables.dates import numbers_of
from lockstep.tables.statistics import has_more_levels, n_distinct
from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd

GRID, GRID_LEVELS = 20, 12
"""Values of a number, and levels of a text, at which the partial dependence is computed."""
_FEW_VALUES = 4
"""A number of at most so many values is tried at each of them."""
_SAMPLE = 200
"""Test rows that the partial dependence is averaged over."""


def dependence_of(
    model: Any, train: Table, test: Table, features: Sequence[str], series: Sequence[Any], seed: int
) -> list[Dependence]:
    """The partial dependence of the prediction on each of ``features`` (Friedman 2001, section 8.2).

    The feature is set to one value in all of a sample of the test rows, the predictions are averaged, and the next
    value is tried. scikit-learn's ``partial_dependence`` does so too, but not for texts or booleans with missing
    values, nor for whole numbers. The values tried are quantiles of the test rows, each a value that occurs; of texts,
    the levels that are most frequent in the training rows. A model without probabilities is asked for the share of rows
    that it gives the class.

    Args:
        model: takes raw rows.
        train, test: the raw rows.
        features: names.
        series: the classes to follow; of no meaning for a regression.
        seed: of the sample.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(len(test))[:_SAMPLE])
    rows = test.features.iloc[sample]
    found = []
    with heartbeat("dependence", len(features), "features") as progress:
        for number, feature in enumerate(features):
            progress.done = number
            column = test.features[feature]
            kind, present = column_type(column), column.dropna()
            if not len(present) or not train.features[feature].count():
                continue
            is_ordered = kind in ("number", "date")
            if is_ordered and has_more_levels(present, _FEW_VALUES):
                marks, values = np.linspace(0.02, 0.98, GRID), present if kind == "number" else present.astype("int64")
                tried = np.unique(np.quantile(values.to_numpy(), marks, method="inverted_cdf"))
                grid = pd.Series(tried).astype(column.dtype).tolist() if kind == "date" else tried.tolist()
            else:
                counts = train.features[feature].value_counts()
                ranked = sorted(counts.index, key=lambda value: (-counts[value], str(value)))
                order = {level: place for place, level in enumerate(train.levels.get(feature, ()))}
                most = GRID_LEVELS if kind == "text" else GRID
                grid = sorted(ranked[:most], key=lambda value: (order.get(value, len(order)), value))
            stacked = pd.concat([rows] * len(grid), ignore_index=True)
            stacked[feature] = pd.Series(np.repeat(np.array(grid, dtype=object), len(rows))).astype(column.dtype)
            responses = _responses(predict(model, stacked, test.task), series)
            means = {name: line.reshape(len(grid), len(rows)).mean(axis=1).tolist() for name, line in responses}
            inner = (
                numbers_of(present).quantile([0.05, 0.95]).astype("float64").tolist() if is_ordered else (None, None)
            )
            levels = n_distinct(train.features[feature])
            shown = numbers_of(pd.Series(grid)).tolist() if kind == "date" else [cell(value) for value in grid]
            found.append(Dependence(feature, kind, levels, shown, means, *inner))
    return found


def _responses(predictions: Predictions, series: Sequence[Any]) -> list[tuple[str, np.ndarray]]:
    """(series, (n_rows,) what is averaged)."""
    if predictions.classes is None:
        return [("", predictions.values)]
    found = []
    for name in series:
        if predictions.probabilities is not None:
            (place,) = np.flatnonzero(predictions.classes == name)
            found.append((str(name), predictions.probabilities[:, place]))
        else:
            found.append((str(name), (predictions.values == name).astype("float64")))
    return found
