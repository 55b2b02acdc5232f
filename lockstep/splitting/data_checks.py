"""Checks of the data before anything is trained: leaks, rows on both sides of the split, columns without information.

docs/checks.md explains each check: what it finds, why it matters, what to do.
"""

from collections.abc import Callable
from typing import NamedTuple

from lockstep.kernel.errors import some
from lockstep.kernel.settings import Settings, Severity
from lockstep.splitting.two_samples import holm, homogeneity, smirnov
from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd

BINS = 50
LEAK_R2, LEAK_ACCURACY = 0.9, 0.99
"""One feature that explains so much of the target on rows that it was not fitted on is suspected to be a leak."""
EXACT_R2 = 1 - 1e-9
NEARLY_UNIQUE = 0.9
"""A text column of which this share of the cells is distinct identifies rows rather than describes them."""
RARE_ROWS = 20
"""A class of fewer training rows than this is hardly learned, and hardly measured."""
SHIFT_LEVEL = 0.001
"""The family-wise error rate of the test for different distributions, after Holm's correction."""


class CheckSettings(Settings, frozen=True):
    """The mapping ``split.checks``: what each check is when it finds something."""

    target_leak: Severity = "warning"
    duplicate_rows: Severity = "warning"
    shared_identifier: Severity = "warning"
    constant_column: Severity = "warning"
    nearly_unique_column: Severity = "warning"
    rare_class: Severity = "warning"
    shifted_column: Severity = "warning"


class DataFinding(NamedTuple):
    """What one check found.

    Attributes:
        code: C1, C2, ...
        check: its name in the settings.
        severity: of its findings.
        found: how many columns, rows or classes.
        message: which, and how bad; "" if none.
    """

    code: str
    check: str
    severity: Severity
    found: int
    message: str


def run_checks(train: Table, test: Table, settings: CheckSettings) -> list[DataFinding]:
    """Run every check that is not off on the training rows (and, where it is about both, the test rows)."""
    findings = []
    for number, (name, check) in enumerate(CHECKS.items(), 1):
        severity = getattr(settings, name)
        found = check(train, test) if severity != "off" else []
        message = some(found, 10) if found else ""
        findings.append(DataFinding(f"C{number}", name, severity, len(found), message))
    return findings


def _target_leak(train: Table, _: Table) -> list[str]:
    """Features that nearly determine the target, each alone, or numbers that add up to it.

    Each feature is cut into BINS bins (texts: by level); the bins' mean target, or most frequent class, is learned on
    the even rows and tried on the odd ones.
    """
    labels, found = train.labels, []
    features = train.features
    even = np.arange(len(train)) % 2 == 0
    for name in map(str, features):
        bins = _binned(features[name])
        if train.task == "regression":
            score = _explained(bins, labels.astype("float64"), even)
            if score > LEAK_R2:
                found.append(f"'{name}' explains {score:.1%} of the target's variance alone")
        else:
            score, most = _accuracy(bins, labels, even)
            if score > LEAK_ACCURACY and score - most > (1 - most) / 2:
                found.append(f"'{name}' predicts {score:.1%} of the classes alone")
    if train.task == "regression":
        exact = numbers_that_add_up(features, labels)
        if len(exact) > 1:
            found.append(f"{some([repr(name) for name in exact])} add up to the target exactly")
    return found


def _binned(column: pd.Series) -> np.ndarray:
    """(n_rows,) the number of each row's bin; gaps have a bin of their own."""
    if column_type(column) == "number" and column.nunique() > BINS:
        ranks = column.rank(method="average", pct=True).fillna(0).to_numpy()
        return np.ceil(ranks * BINS).astype(int)
    return np.asarray(pd.factorize(column.astype(object))[0])


def _explained(bins: np.ndarray, y: np.ndarray, even: np.ndarray) -> float:
    """R2 on the odd rows of the bins' means on the even rows."""
    means = pd.Series(y[even]).groupby(bins[even]).mean()
    predicted = pd.Series(bins[~even]).map(means).fillna(y[even].mean()).to_numpy()
    total = np.sum((y[~even] - y[~even].mean()) ** 2)
    return float(1 - np.sum((y[~even] - predicted) ** 2) / total) if total else 0.0


def _accuracy(bins: np.ndarray, y: np.ndarray, even: np.ndarray) -> tuple[float, float]:
    """(accuracy on the odd rows of the bins' most frequent class on the even rows, that of the most frequent class)."""
    codes = pd.factorize(y, sort=True)[0]
    table = pd.crosstab(bins[even], codes[even])
    overall = int(table.columns[table.to_numpy().sum(axis=0).argmax()])
    predicted = pd.Series(bins[~even]).map(table.idxmax(axis=1)).fillna(overall).to_numpy()
    return float(np.mean(predicted == codes[~even])), float(np.mean(codes[~even] == overall))


def numbers_that_add_up(features: pd.DataFrame, y: np.ndarray) -> list[str]:
    """The numbers whose weighted sum is the target, by least squares; [] if there are none."""
    numbers = features[[name for name in features if column_type(features[name]) == "number"]].dropna(axis=1)
    numbers = numbers.loc[:, numbers.std() > 0]
    if numbers.empty or len(numbers) <= 2 * numbers.shape[1]:
        return []
    scaled, centred = ((numbers - numbers.mean()) / numbers.std()).to_numpy(), y - y.mean()
    weights = np.linalg.lstsq(scaled, centred, rcond=1e-10)[0]
    left = centred - scaled @ weights
    if 1 - (left @ left) / (centred @ centred) < EXACT_R2:
        return []
    share = np.abs(weights) / np.abs(weights).max()
    return [str(name) for name, part in zip(numbers, share, strict=True) if part > 1e-6]


def _duplicate_rows(_: Table, test: Table) -> list[str]:
    """Test rows that are training rows too, with the same target: the split has found them."""
    return [f"data row {row}" for row in test.copies]


def _shared_identifier(train: Table, test: Table) -> list[str]:
    """Columns whose values are nearly all different, yet stand on both sides: the same customer, house or patient."""
    found = []
    for name in map(str, train.features):
        column = train.frame[name]
        kind = column_type(column)
        if kind == "boolean" or (kind == "number" and (column.dropna() % 1 != 0).any()):
            continue
        distinct = column.nunique() / len(column)
        shared = test.frame[name].isin(column.dropna().unique()).sum()
        if 0.5 < distinct < 1 and shared:
            found.append(f"{shared} test rows have a '{name}' that training rows have (set split.group to it?)")
    return found


def _constant_column(train: Table, _: Table) -> list[str]:
    return [f"'{name}'" for name in train.features if train.features[name].nunique() <= 1]  # noqa: PD101 - gaps are none


def _nearly_unique_column(train: Table, _: Table) -> list[str]:
    """Texts, or whole numbers that only count up, which identify rows rather than describe them."""
    found = []
    for name in map(str, train.features):
        column = train.features[name].dropna()
        kind = column_type(column)
        counts_up = kind == "number" and len(column) > 1 and (column % 1 == 0).all() and column.is_monotonic_increasing
        if (kind == "text" or counts_up) and column.nunique() >= NEARLY_UNIQUE * len(train):
            found.append(f"'{name}'")
    return found


def _rare_class(train: Table, _: Table) -> list[str]:
    if train.task == "regression":
        return []
    classes, counts = np.unique(train.labels, return_counts=True)
    return [f"{name} ({count} training rows)" for name, count in zip(classes, counts, strict=True) if count < RARE_ROWS]


def _shifted_column(train: Table, test: Table) -> list[str]:
    """Columns whose distribution differs between training and test rows.

    The tests are those of two_samples.py, as in ``data-diff``, corrected for the number of columns.
    """
    names = [str(name) for name in train.frame if name not in (train.group, train.time)]
    adjusted = holm([_p_value(train.frame[name].dropna(), test.frame[name].dropna()) for name in names])
    return [f"'{name}' (p {p:.1g})" for name, p in zip(names, adjusted, strict=True) if p < SHIFT_LEVEL]


def _p_value(a: pd.Series, b: pd.Series) -> float:
    if a.empty or b.empty:
        return 1.0
    if column_type(a) == "number" and a.nunique() > BINS:
        return smirnov(a, b)[1]
    counts = pd.concat([a.astype(str).value_counts(), b.astype(str).value_counts()], axis=1).fillna(0).to_numpy()
    found = homogeneity(counts[:, 0], counts[:, 1])
    return 1.0 if found is None else found[1]


CHECKS: dict[str, Callable[[Table, Table], list[str]]] = {
    "target_leak": _target_leak,
    "duplicate_rows": _duplicate_rows,
    "shared_identifier": _shared_identifier,
    "constant_column": _constant_column,
    "nearly_unique_column": _nearly_unique_column,
    "rare_class": _rare_class,
    "shifted_column": _shifted_column,
}
"""Every check, by its name in the settings, in the order of its code."""
