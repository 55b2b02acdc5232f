"""Checks of the data before anything is trained: leaks, rows on both sides of the split, columns without information.

docs/checks.md explains each check: what it finds, why it matters, what to do.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from lockstep.kernel.errors import plural, some
from lockstep.kernel.log import counted
from lockstep.kernel.settings import Settings, Severity
from lockstep.steps.splitting.exact_sums import exact_sums
from lockstep.steps.splitting.identifiers import alike_in, identifier_of_rows, is_code, is_named_as_identifier
from lockstep.steps.splitting.two_samples import Difference, holm, missing_differ, values_differ
from lockstep.tables.dates import numbers_of
from lockstep.tables.statistics import are_whole, equal_bins, has_more_levels, n_distinct
from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd

_BINS = 50
LEAK_R2, LEAK_ACCURACY = 0.9, 0.99
"""One feature that explains so much of the target on rows that it was not fitted on is suspected to be a leak."""
_MOSTLY_DIFFERENT = 0.5
"""What names a thing rather than a level has more distinct values than this share of the rows."""
LEAK_ROWS = 100_000
"""One feature that gives the target away shows on so many training rows, drawn at random where there are more."""
NEAREST_ROWS = 10_000
"""Of so many rows, and fewer, _BINS are too coarse to tell that a number gives the classes away."""
RARE_ROWS = 20
"""A class of fewer training rows than this is hardly learned, and hardly measured."""
SHIFT_ROWS = 100_000
"""Other distributions show on so many rows of each side, drawn at random where there are more: between so many, a
Kolmogorov-Smirnov distance of 0.01 has a p-value of 0.0001."""
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


class FreeText(Settings, frozen=True):
    """Of the section ``preprocess``: the columns of which the user says that their texts tell something of the rows.
    DVC tracks the key by name, so that it must be there: NamedFreeText."""

    text_columns: tuple[str, ...] = ()


class NamedFreeText(FreeText, frozen=True):
    """The same, not left out."""

    text_columns: tuple[str, ...]


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


def run_checks(
    train: Table, test: Table, settings: CheckSettings, text_columns: Collection[str] = ()
) -> list[DataFinding]:
    """Run every check that is not off on the training rows (and, where it is about both, the test rows).

    Args:
        train, test: the rows of both sides.
        settings: how severe the findings of each check are.
        text_columns: of free text: they are no identifiers of rows, though nearly all texts differ.
    """
    findings = []
    for number, (name, check) in enumerate(counted(CHECKS.items(), "checks"), 1):
        severity = getattr(settings, name)
        given = (train, test, text_columns) if name == "nearly_unique_column" else (train, test)
        found = check(*given) if severity != "off" else []
        message = _said(name, found) + _equals(name, train) if found else ""
        findings.append(DataFinding(f"C{number}", name, severity, len(found), message))
    return findings


def _said(check: str, found: list[str]) -> str:
    """What a check found, as a sentence without its full stop."""
    shown = some(found, 10)
    one, more = SUMMARIES.get(check, ("", ""))
    return f"{len(found):,} {one if len(found) == 1 else more}: {shown}" if one else shown


def _target_leak(train: Table, _: Table) -> list[str]:
    """Features that nearly determine the target, each alone, or numbers that add up to it.

    Each feature is cut into _BINS bins (texts: by level); the bins' mean target, or most frequent class, is learned on
    the even rows and tried on the odd ones; of LEAK_ROWS at most. Of few rows, the bin in which the class changes has
    more of them than LEAK_ACCURACY allows: there the class of the even row with the nearest number is tried, too. What
    adds up to the target, does so in all rows.
    """
    found = [
        f"the target is {exact.formula}, within the rounding of their digits"
        for exact in (exact_sums(train.features, train.labels) if train.task == "regression" else [])
        if len(exact.weights) > 1
    ]
    drawn = f", of {LEAK_ROWS:,} training rows drawn at random" if len(train) > LEAK_ROWS else ""
    train = _drawn(train, LEAK_ROWS)
    labels, alone = train.labels, []
    features = train.features
    codes = pd.factorize(labels, sort=True)[0] if train.task == "classification" else labels
    even = np.arange(len(train)) % 2 == 0
    for name in counted(map(str, features), "columns"):
        bins = _binned(features[name])
        if train.task == "regression":
            score = _explained(bins, labels.astype("float64"), even)
            if score > LEAK_R2:
                alone.append(f"'{name}' explains {score:.1%} of the target's variance alone{drawn}")
        else:
            score, most = _accuracy(bins, codes, even)
            if score <= LEAK_ACCURACY and len(train) <= NEAREST_ROWS:
                score = max(score, _accuracy_of_nearest(features[name], codes, even))
            if score > LEAK_ACCURACY and score - most > (1 - most) / 2:
                alone.append(f"'{name}' predicts {score:.1%} of the classes alone{drawn}")
    return alone + found


def _drawn(table: Table, most: int) -> Table:
    """So many of a table's rows, drawn at random, where it has more."""
    if len(table) <= most:
        return table
    return table.rows(np.sort(np.random.default_rng(0).choice(len(table), most, replace=False)))


def _binned(column: pd.Series) -> np.ndarray:
    """(n_rows,) the number of each row's bin; missing values have a bin of their own."""
    if column_type(column) in ("number", "date") and has_more_levels(column, _BINS):
        return equal_bins(column, _BINS)
    return np.asarray(pd.factorize(column)[0]) + 1


def _explained(bins: np.ndarray, y: np.ndarray, even: np.ndarray) -> float:
    """R2 on the odd rows of the bins' means on the even rows."""
    means = pd.Series(y[even]).groupby(bins[even]).mean()
    predicted = pd.Series(bins[~even]).map(means).fillna(y[even].mean()).to_numpy()
    total = np.sum((y[~even] - y[~even].mean()) ** 2)
    return float(1 - np.sum((y[~even] - predicted) ** 2) / total) if total else 0.0


def _accuracy(bins: np.ndarray, codes: np.ndarray, even: np.ndarray) -> tuple[float, float]:
    """(accuracy on the odd rows of the bins' most frequent class on the even rows, that of the most frequent class).

    ``codes``: (n_rows,) the classes, as whole numbers from 0.
    """
    shape = int(bins.max()) + 1, int(codes.max()) + 1
    counts = np.bincount(bins[even] * shape[1] + codes[even], minlength=shape[0] * shape[1]).reshape(shape)
    overall = counts.sum(axis=0).argmax()
    classes = np.where(counts.any(axis=1), counts.argmax(axis=1), overall)
    return float(np.mean(classes[bins[~even]] == codes[~even])), float(np.mean(codes[~even] == overall))


def _accuracy_of_nearest(column: pd.Series, codes: np.ndarray, even: np.ndarray) -> float:
    """The accuracy on the odd rows of the class of the even row that is nearest in a column of numbers or dates; 0 for
    other columns. Rows without a value have the class of those that have none, either."""
    if column_type(column) not in ("number", "date"):
        return 0.0
    values = numbers_of(column).to_numpy(dtype="float64", na_value=np.nan)
    order = np.flatnonzero(even)[np.argsort(values[even], kind="stable")]  # missing ones last
    known, classes = values[order], codes[order]
    present = int(np.isfinite(known).sum())
    right = np.searchsorted(known[:present], values[~even]).clip(1, max(1, present - 1))
    left = right - 1
    if present < 2:
        return 0.0
    nearest = np.where(values[~even] - known[left] <= known[right] - values[~even], left, right)
    without = np.bincount(classes[present:]).argmax() if present < len(known) else -1
    guessed = np.where(np.isnan(values[~even]), without, classes[nearest])
    return float(np.mean(guessed == codes[~even]))


def _duplicate_rows(_: Table, test: Table) -> list[str]:
    """Test rows that equal training rows, with the same target: the split has found them."""
    return [f"data row {row}" for row in test.copies]


def _equals(check: str, train: Table) -> str:
    """How many training rows equal each other, where test rows equal them: rows of few columns with few values do so,
    whatever they are of."""
    if check != "duplicate_rows":
        return ""
    aside = "" if train.weight is None else f", '{train.weight}' aside"
    return f"{aside}; of the training rows, {train.row_hashes.duplicated(keep=False).mean():.1%} equal another one"


def _shared_identifier(train: Table, test: Table) -> list[str]:
    """Identifiers, by their names or because they are texts that mostly differ, that stand on both sides, and whose
    rows of one value are alike: the same customer, house or patient."""
    found = []
    for name in counted(map(str, train.features), "columns"):
        column = train.frame[name]
        named = column_type(column) == "text" or is_named_as_identifier(name)
        if not named or not _MOSTLY_DIFFERENT < n_distinct(column) / len(column) < 1 or not is_code(column):
            continue
        shared = int(test.frame[name].isin(column.dropna().unique()).sum())
        if not shared:
            continue
        both = pd.concat([train.frame, test.frame])
        if alike := alike_in(both[name], both):
            shown = some([f"'{other}'" for other in alike], 3)
            found.append(
                f"{plural(shared, 'test row')} {'has' if shared == 1 else 'have'} a '{name}' that training rows have, "
                f"and rows of one '{name}' are alike in "
                f"{shown} (set split.group to it?)"
            )
    return found


def _constant_column(train: Table, _: Table) -> list[str]:
    features = train.features
    return [f"'{name}'" for name in counted(features, "columns") if not has_more_levels(features[name], 1)]


def _nearly_unique_column(train: Table, test: Table, text_columns: Collection[str]) -> list[str]:
    """Columns that identify rows rather than describe them, in the order of the file: some count up."""
    order = np.argsort(np.concatenate([train.frame.index, test.frame.index]), kind="stable")
    found = []
    for name in counted((str(name) for name in train.features if name not in text_columns), "columns"):
        if column_type(train.frame[name]) == "number" and not are_whole(train.frame[name].dropna()):
            continue  # of which no identifier is, and most columns of a large table are
        both = pd.concat([train.frame[name], test.frame[name]]).iloc[order]
        if why := identifier_of_rows(both):
            found.append(f"'{name}' ({why})")
    return found


def _rare_class(train: Table, _: Table) -> list[str]:
    if train.task == "regression":
        return []
    classes, counts = np.unique(train.labels, return_counts=True)
    return [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < RARE_ROWS]


def _shifted_column(train: Table, test: Table) -> list[str]:
    """Columns whose values, or share of missing values, differ between training and test rows.

    The tests are those of ``data-diff``, corrected for their number; values are tested on SHIFT_ROWS at most of each.
    """
    some_train, some_test = (_drawn(table, SHIFT_ROWS) for table in (train, test))
    drawn = f", of {len(some_train):,} and {len(some_test):,} rows" if max(len(train), len(test)) > SHIFT_ROWS else ""
    tested: list[tuple[str, str, float]] = []
    for name in counted((str(name) for name in train.frame if name not in (train.group, train.time)), "columns"):
        as_classes = name == train.target and train.task == "classification"
        values = values_differ(some_train.frame[name], some_test.frame[name], as_classes=as_classes)
        tested += [(f"'{name}'", drawn, values.p)] if isinstance(values, Difference) else []
        missing = missing_differ(train.frame[name], test.frame[name])
        tested += [] if missing is None else [(f"missing values of '{name}'", "", missing)]
    adjusted = holm([p for *_, p in tested])
    return [
        f"{what} (p {p:.1g}{of_rows})"
        for (what, of_rows, _), p in zip(tested, adjusted, strict=True)
        if p < SHIFT_LEVEL
    ]


CHECKS: dict[str, Callable[..., list[str]]] = {
    "target_leak": _target_leak,
    "duplicate_rows": _duplicate_rows,
    "shared_identifier": _shared_identifier,
    "constant_column": _constant_column,
    "nearly_unique_column": _nearly_unique_column,
    "rare_class": _rare_class,
    "shifted_column": _shifted_column,
}
"""Every check, by its name in the settings, in the order of its code: of training and test rows, C5 of the columns of
free text besides."""
SUMMARIES = {
    "duplicate_rows": (
        "test row equals a training row in all columns that load.drop does not leave out, target included",
        "test rows equal training rows in all columns that load.drop does not leave out, target included",
    ),
    "constant_column": (
        "column has one value or none in the training rows",
        "columns have one value or none in the training rows",
    ),
    "nearly_unique_column": (
        "column identifies rows rather than describes them",
        "columns identify rows rather than describe them",
    ),
    "rare_class": (
        f"class has fewer than {RARE_ROWS} training rows",
        f"classes have fewer than {RARE_ROWS} training rows",
    ),
    "shifted_column": (
        "column differs between training and test rows",
        "columns differ between training and test rows",
    ),
}
"""What the findings of a check are, one and more; of the other checks each finding says it itself."""
