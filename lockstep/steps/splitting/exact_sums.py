"""Numbers that add up to the target, as exactly as the table shows them."""

from decimal import Decimal
from typing import NamedTuple

from lockstep.tables.table import column_type

import numpy as np
import pandas as pd

EXACT_R2 = 1 - 1e-4
"""A sum explains at least so much of the target: chance could stay within the rounding of few digits."""
ROWS_TO_CHOOSE_BY = 2000
"""The columns of a sum are chosen by so many rows; all rows must then agree."""
_SHOWN = 1000
"""The digits of a column are taken from so many of its cells."""


class ExactSum(NamedTuple):
    """The target as a weighted sum of columns, within the rounding of all their digits.

    Attributes:
        weights: of the columns, {name: weight}; leaving any of them out, the sum is not exact.
        constant: that is added.
        leaks: the columns without which no exact sum is left, and why they are, in words: {name: why}.
    """

    weights: dict[str, float]
    constant: float
    leaks: dict[str, str]

    @property
    def formula(self) -> str:
        """``'day' + 'night'``, ``2 x 'mean' - 'reading' + 7``."""
        return _formula(self.weights, self.constant)


def exact_sums(features: pd.DataFrame, y: np.ndarray) -> list[ExactSum]:
    """Find the weighted sums of numbers that are the target, each without the leaks of those before it.

    Args:
        features: (n_rows, n_features); columns with a missing value are left out.
        y: (n_rows,) the target, NaN where it is missing.
    """
    present = ~np.isnan(y)
    numbers = features[[name for name in features if column_type(features[name]) == "number"]].dropna(axis=1)
    if not present.all():
        numbers, y = numbers[present], y[present]
    numbers = numbers.loc[:, numbers.std() > 0]
    found: list[ExactSum] = []
    while one := _exact_sum(numbers, y):
        found.append(one)
        numbers = numbers.drop(columns=list(one.leaks))
    return found


def _exact_sum(numbers: pd.DataFrame, y: np.ndarray) -> ExactSum | None:
    if numbers.empty or len(numbers) <= 2 * numbers.shape[1]:
        return None
    step = max(1, len(numbers) // max(ROWS_TO_CHOOSE_BY, 4 * numbers.shape[1]))
    few, few_y = numbers.iloc[::step], y[::step]
    weights = _weights(few, few_y)
    if weights is None or not _is_exact(few, few_y, weights):
        return None
    spread = weights.abs() * few[weights.index].std()
    chosen = [str(name) for name in spread.sort_values(ascending=False, kind="stable").index]
    low, high = 1, len(chosen)  # of the columns that weigh most, so many give the target: between these numbers
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _gives(few, few_y, chosen[:middle]) else (middle + 1, high)
    chosen = chosen[:high]
    for name in chosen[::-1]:
        others = [other for other in chosen if other != name]
        if others and _gives(few, few_y, others):
            chosen = others
    chosen = [str(name) for name in numbers if name in chosen]
    weights = _weights(numbers[chosen], y)
    if weights is None or not _is_exact(numbers[chosen], y, weights):
        return None
    constant = float(y.mean() - (numbers[chosen].mean() * weights).sum())
    constant = constant if abs(constant) > _tolerance(numbers[chosen], y, weights).max() else 0.0
    named = {str(name): float(weight) for name, weight in weights.items()}
    return ExactSum(named, constant, _leaks(numbers[chosen], y, named, constant))


def _gives(numbers: pd.DataFrame, y: np.ndarray, names: list[str]) -> bool:
    weights = _weights(numbers[names], y)
    return weights is not None and _is_exact(numbers[names], y, weights)


def _weights(numbers: pd.DataFrame, y: np.ndarray) -> pd.Series | None:
    """The weights of least squares by column, or None if these explain less than EXACT_R2 of ``y``."""
    spread = numbers.std().replace(0, 1)
    scaled, centred = ((numbers - numbers.mean()) / spread).to_numpy(dtype="float64"), y - y.mean()
    weights = np.linalg.lstsq(scaled, centred, rcond=1e-10)[0]
    left = centred - scaled @ weights
    total = centred @ centred
    if not total or left @ left > (1 - EXACT_R2) * total:
        return None
    return pd.Series(weights / spread.to_numpy(), index=numbers.columns)


def _is_exact(numbers: pd.DataFrame, y: np.ndarray, weights: pd.Series) -> bool:
    left = (y - y.mean()) - ((numbers - numbers.mean()) * weights).sum(axis=1).to_numpy()
    return bool((np.abs(left) <= _tolerance(numbers, y, weights)).all())


def _tolerance(numbers: pd.DataFrame, y: np.ndarray, weights: pd.Series) -> np.ndarray:
    """(n_rows,) how far a sum of rounded numbers can be from a rounded target that it is."""
    size = np.abs(y) + (numbers.abs() * weights.abs()).sum(axis=1).to_numpy()
    rounded = [abs(weight) * _rounding(numbers[name].to_numpy(dtype="float64")) for name, weight in weights.items()]
    return np.asarray(np.sum([_rounding(y), *rounded], axis=0) + 1e-12 * size + 1e-9 * y.std())


def _rounding(values: np.ndarray) -> np.ndarray:
    """(n_rows,) how far each number may be from the one that was rounded to it: half of its last digit; where all are
    numbers of single precision, written out, half the distance to the next of these.
    """
    shown = values[:: 1 + len(values) // _SHOWN]
    decimals = max(-min(int(Decimal(repr(float(value))).normalize().as_tuple().exponent), 0) for value in shown)
    half = 0.5 * 10.0**-decimals
    with np.errstate(over="ignore"):
        single = values.astype("float32")
    if decimals > 6 and (np.abs(single - values) <= 2 * half + np.spacing(np.abs(values))).all():
        half += 0.5 * np.spacing(np.abs(single)).astype("float64")
    return np.broadcast_to(half, values.shape)


def _leaks(numbers: pd.DataFrame, y: np.ndarray, weights: dict[str, float], constant: float) -> dict[str, str]:
    """Which columns of the sum to leave out.

    What is added up to the target is a part of it: all of it. If something is taken off something else, the numbers do
    not tell which of the two was known before the target (a price is the list price without the discount): the one that
    alone says least of the target goes, so that the sum is none any more and most is kept.
    """
    formula = _formula(weights, constant)
    if len(weights) == 1:
        return dict.fromkeys(weights, f"the target is {formula}")
    if len({weight > 0 for weight in weights.values()}) == 1:
        return dict.fromkeys(weights, f"a part of the target, {formula}")
    correlations = {name: abs(float(np.corrcoef(numbers[name], y)[0, 1])) for name in weights}
    weakest = min(correlations, key=lambda name: correlations[name])
    return {weakest: f"with the others in {formula} it is the target"}


def _formula(weights: dict[str, float], constant: float) -> str:
    terms = [(weight, f"'{name}'") for name, weight in weights.items()]
    terms.sort(key=lambda term: term[0] < 0)  # what is added first
    text = ""
    for weight, name in terms:
        size = abs(weight)
        text += (" - " if text else "-") if weight < 0 else " + " if text else ""
        text += name if f"{size:.4g}" == "1" else f"{size:.4g} x {name}"
    return text + (f" {'-' if constant < 0 else '+'} {abs(constant):.4g}" if constant else "")
