"""The encoding of raw rows as a model's preprocessor gives it, to the bit, in less time.

scikit-learn's ColumnTransformer cuts rows into tables, and each of its steps looks at its table anew: milliseconds,
however few the rows are, and of one row most of what its prediction takes. Here missing numbers are filled in, and
texts are looked up in what the fitted steps themselves make of each level, once. Whatever else a preprocessor does,
scikit-learn does.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lockstep.learning.preprocessing import CATEGORIES

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

_Encode = Callable[[pd.DataFrame], np.ndarray]
"""Of rows, (n_rows, n_encoded) numbers."""


class QuickEncoder:
    """Gives what ``fitted.transform`` gives of typed rows; in the same order in memory, on which sums can depend.

    Args:
        fitted: what encodes the rows of a model, see preprocessing.encoder_of.
    """

    def __init__(self, fitted: ColumnTransformer) -> None:
        self._parts = [_part(kind, steps, names) for kind, steps, names in fitted.transformers_ if steps != "drop"]

    def transform(self, rows: pd.DataFrame) -> np.ndarray:
        """(n_rows, n_encoded) of rows with all columns that the encoder was fitted on."""
        return np.hstack([encode(rows) for encode in self._parts])


def with_quick_encoder(model: Pipeline, step: str) -> Pipeline:
    """The fitted model with a QuickEncoder in place of the fitted ColumnTransformer that is its step of this name."""
    return Pipeline([(name, QuickEncoder(made) if name == step else made) for name, made in model.steps])


def _part(kind: str, steps: Pipeline, names: Sequence[str]) -> _Encode:
    """What encodes the columns of a kind, of these names, as the fitted ``steps`` do."""
    if kind in ("number", "boolean"):
        found = _of_numbers(steps, names)
    elif kind in ("onehot", "ordinal", "target", "ordered", CATEGORIES):
        found = _of_levels(steps, names)
    else:
        found = None
    return found or (lambda rows: np.asarray(steps.transform(rows[names])))


def _of_numbers(steps: Pipeline, names: Sequence[str]) -> _Encode | None:
    """Encodes numbers and booleans; None where that would not be what ``steps`` do."""
    known = steps.named_steps
    imputer = known.get("impute")
    others = [step for name, step in steps.steps if name not in ("cast", "impute")]
    if imputer is not None and (
        np.isnan(imputer.statistics_).any()  # of no value at all: the column is left out
        or ("cast" not in known and imputer.strategy == "most_frequent")  # whole numbers stay whole
    ):
        return None
    if any(hasattr(step, "feature_names_in_") for step in others):  # it wants a table, not numbers
        return None

    def encode(rows: pd.DataFrame) -> np.ndarray:
        numbers = np.empty((len(names), len(rows)))
        for place, name in enumerate(names):
            numbers[place] = _numbers(rows[name])
        if not (finite := np.isfinite(numbers)).all():
            if np.isinf(numbers).any():  # of the user's own features, perhaps: scikit-learn says what it thinks of it
                return np.asarray(steps.transform(rows[names]))
            if imputer is not None:
                numbers = np.where(finite, numbers, imputer.statistics_[:, None])
        found: np.ndarray = numbers.T
        for step in others:
            found = step.transform(found)
        return found

    return encode


def _numbers(column: pd.Series) -> Any:
    """(n_rows,) float64, or what NumPy makes so."""
    is_plain = isinstance(column.dtype, np.dtype) and column.dtype.kind in "iufb"
    return (column if is_plain else column.astype("float64")).to_numpy()


def _of_levels(steps: Pipeline, names: Sequence[str]) -> _Encode:
    """Encodes texts, each column by a table of what ``steps`` make of each of its levels, of others and of none."""
    encoder = steps.named_steps["encode"]
    levels = [[level for level in found if isinstance(level, str)] for found in encoder.categories_]
    other = "?" * (1 + max(len(level) for found in levels for level in found))
    texts = {name: pd.Series([*found, other, None], dtype="str") for name, found in zip(names, levels, strict=True)}
    encoded = np.asarray(steps.transform(pd.DataFrame(texts)))  # shorter columns go on with missing values
    edges = np.cumsum([0, *_widths(encoder, encoded.shape[1], len(names))])
    tables = []
    for name, found, start, end in zip(names, levels, edges[:-1], edges[1:], strict=True):
        places = {level: place for place, level in enumerate(found)}
        tables.append((name, places, encoded[: len(found) + 2, start:end], slice(start, end)))

    def encode(rows: pd.DataFrame) -> np.ndarray:
        numbers = np.empty((len(rows), encoded.shape[1]))
        for name, places, table, span in tables:
            column = rows[name].astype("str")
            at = np.array([places.get(text, len(places)) for text in column.to_numpy(dtype=object)])
            at[column.isna().to_numpy()] = len(places) + 1
            numbers[:, span] = table[at]
        return numbers

    return encode


def _widths(encoder: Any, width: int, n_columns: int) -> list[int]:
    """How many numbers an encoder makes of each of its columns, ``width`` in all."""
    if not hasattr(encoder, "infrequent_categories_"):
        return [width // n_columns] * n_columns
    rare = encoder.infrequent_categories_
    return [
        len(found) if others is None else len(found) - len(others) + 1
        for found, others in zip(encoder.categories_, rare, strict=True)
    ]
