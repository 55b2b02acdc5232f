"""The user's own features: what ``features/<problem>.py`` makes of a row, the first step of a model's pipeline.

The file defines ``features``: a function of raw rows to rows of features, or a scikit-learn transformer. A function's
result for a row must depend on that row alone: else what it says of a training row would hold something of the rows
that the model is judged by. That is tried, on rows of their own and in another order. What learns from rows is to be a
transformer: it is fitted on the rows that a model is fitted on, in every fold.
"""

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from lockstep.kernel.errors import DataError, LockstepError, SettingsError, plural, some
from lockstep.learning.own_code import find_file, load_module, read_definitions, said_of
from lockstep.tables.dates import UNIT
from lockstep.tables.table import Table, column_type, with_columns

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin, clone

_NAME = "features"
TRIED, ALONE = 200, 8
"""So many of the rows that a function is fitted on are given to it anew, shuffled; and so many one by one."""
TOLERANCE = 1e-9
"""Numbers that differ by less, relatively, are the same: the last bits may depend on how many rows there are."""


def defines_features(path: str) -> bool:
    """Whether the file of a problem's own features defines any; nothing of it is run.

    Raises:
        SettingsError: there is no such file, it is no Python, or it defines other functions or classes alone.
    """
    try:
        find_file(path, _NAME)
    except SettingsError:
        raise SettingsError(
            f"{path}, the file of the problem's own features, does not exist. 'git checkout HEAD -- {path}' brings "
            f"back the last commit's; 'touch {path}' makes one that defines none (docs/own-code.md)."
        ) from None
    found = read_definitions(path, _NAME)
    others = [name for name, node in found.items() if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    if _NAME not in found and others:
        raise SettingsError(
            f"{path} defines no '{_NAME}', so that nothing of it would be used. It defines: {some(others)}. Name what "
            f"is to be used '{_NAME}', or empty the file."
        )
    return _NAME in found


def read_features(path: Path | None) -> "OwnFeatures | None":
    """The step of a problem's own features, not fitted yet; None where there is no file, or it defines none. Raises as
    defines_features."""
    return OwnFeatures(path.as_posix()) if path is not None and defines_features(path.as_posix()) else None


_EMPTY: dict[str, Any] = {"number": "float64", "text": "str", "boolean": "object", "date": UNIT}
"""The types of columns in which all is missing."""


def _types(frame: pd.DataFrame) -> dict[str, str]:
    """{column: number, boolean or text}."""
    return {str(name): column_type(frame[name]) for name in frame}


class OwnFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What a file of the user's defines as ``features``, as a step of a pipeline: raw rows to rows of features.

    Args:
        path: of the file, from the repository's root.

    Attributes:
        raw_types_: {column: type} of the raw columns that it was fitted on, types as column_type names them.
        types_: the same of the columns that it gives.
        transformer_: the fitted transformer, or None for a function.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def fit(self, X: pd.DataFrame, y: np.ndarray | None = None) -> Self:
        """Learn the columns and, where it is a transformer, fit it.

        Args:
            X: (n_rows, n_raw) raw rows.
            y: (n_rows,) the target, for a transformer.

        Raises:
            SettingsError: the file defines something else, or raises an error as it is run.
            DataError: what it gives are no features of these rows.
        """
        self.raw_types_ = _types(X)
        self._raw_dtypes = dict(X.dtypes)
        self.feature_names_in_ = np.array(list(self.raw_types_), dtype=object)
        own = getattr(load_module(self.path, _NAME), _NAME, None)
        self.transformer_ = self._transformer(own)
        if self.transformer_ is not None:
            self._run(self.transformer_.fit, X, y)
        made = self._made(X)
        self.types_ = _types(made)
        if self.transformer_ is None:
            self._try_rows(X, made)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """(n_rows, n_features): the features of raw rows, with the columns and types of those that it was fitted on.

        Raises:
            DataError: the code raises an error, or gives something else than it did when it was fitted.
        """
        made = self._made(X)
        if differing := set(self.types_) ^ set(map(str, made)):
            raise DataError(
                f"{self.path} gives other columns for these rows than for those that the model was fitted on: "
                f"{some(sorted(differing))}. The columns must be the same whatever the rows (pd.get_dummies makes "
                "others: give the text column itself, it is encoded afterwards)."
            )
        return pd.DataFrame({name: self._as(made[name], kind) for name, kind in self.types_.items()}, index=made.index)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002 - scikit-learn's interface
        """(n_features,) the columns that ``transform`` gives."""
        return np.array(list(self.types_), dtype=object)

    def apply(self, table: Table) -> Table:
        """Fit on the rows of ``table``, and put their features in place of its own. Raises as fit."""
        made = self.fit(table.features, table.labels).transform(table.features)
        if table.target in made:
            raise DataError(f"{self.path} gives a column '{table.target}', which is the target. Give it another name.")
        frame = with_columns(made, {table.target: table.frame[table.target]})
        return replace(table, frame=frame, group=None, time=None, weight=None)

    def _transformer(self, own: Any) -> Any:
        """What is to be fitted: an instance of the class, or a copy of the instance; None for a function."""
        try:
            if isinstance(own, type):
                own = own()
            if hasattr(own, "fit") and hasattr(own, "transform"):
                return clone(own)
        except Exception as error:
            raise SettingsError(
                f"{self.path}: the transformer '{_NAME}' cannot be made: {said_of(error) or error}. A class must need "
                "no arguments, and keep what it is given as scikit-learn's transformers do."
            ) from error
        if callable(own):
            return None
        raise SettingsError(
            f"{self.path}: '{_NAME}' is a {type(own).__name__}. Allowed: a function of rows, 'def features(rows)', or "
            "a scikit-learn transformer with fit and transform."
        )

    def _run(self, function: Any, *given: Any) -> Any:
        try:
            return function(*given)
        except LockstepError:
            raise
        except Exception as error:
            said = said_of(error) or f"{self.path}: {type(error).__name__}: {error}"
            missing = isinstance(error, KeyError) and error.args[:1] and error.args[0] not in self.raw_types_
            there = f" The rows have the columns {some(self.raw_types_, 20)}." if missing else ""
            raise DataError(f"{said}. Correct the file.{there}") from error

    def _made(self, X: pd.DataFrame) -> pd.DataFrame:
        """What the code makes of rows, once it is seen to be features of these rows."""
        if absent := [name for name in self.raw_types_ if name not in X]:
            raise DataError(f"the rows lack columns that {self.path} is given: {some(absent)}. Add them.")
        rows = self._raw(X)
        if self.transformer_ is None:
            made = self._run(getattr(load_module(self.path, _NAME), _NAME), rows)
        else:
            made = self._run(self.transformer_.transform, rows)
            if isinstance(made, np.ndarray) and made.ndim == 2 and len(made) == len(X):
                names = getattr(self.transformer_, "get_feature_names_out", lambda: None)
                named = self._run(names) if made.shape[1] else None
                columns = [f"feature_{i + 1}" for i in range(made.shape[1])] if named is None else list(named)
                made = pd.DataFrame(made, index=X.index, columns=columns)
        self._check(made, X)
        made = made.set_axis(map(str, made.columns), axis=1)
        return pd.DataFrame({name: self._typed(made[name]) for name in made}, index=X.index)

    def _raw(self, X: pd.DataFrame) -> pd.DataFrame:
        """A copy of rows with the columns, in the order and of the types that the code was fitted on; whole numbers
        among which one is missing are no whole numbers any more."""
        rows = X[list(self.raw_types_)].copy()
        for name, dtype in self._raw_dtypes.items():
            whole = dtype.kind in "iu" and rows[name].dtype.kind == "f"
            fits = not rows[name].isna().any() if dtype.kind in "iub" else dtype.kind in "fM" or dtype == "str"
            if fits and rows[name].dtype != dtype and not (whole and (rows[name] % 1 != 0).any()):
                rows[name] = rows[name].astype(dtype)
        return rows

    def _check(self, made: Any, X: pd.DataFrame) -> None:
        """Refuse what is not one row of features for each row."""
        wrong = None
        if not isinstance(made, pd.DataFrame):
            wrong = f"gives a {type(made).__name__}. It must give a DataFrame"
        elif len(made) != len(X):
            wrong = f"gives {plural(len(made), 'row')} for {len(X):,}. It must give one row for each"
        elif not made.index.equals(X.index):
            moved = len(made.index.symmetric_difference(X.index)) == 0
            what = "the rows in another order" if moved else "rows of another index"
            wrong = f"gives {what}. Keep the order, and the index, of the rows that it is given"
        elif not len(made.columns):
            wrong = "gives no column. It must give one at least"
        elif not made.columns.is_unique:
            twice = made.columns[made.columns.duplicated()]
            wrong = f"gives two columns of the name '{twice[0]}'. Give each a name of its own"
        if wrong:
            raise DataError(f"{self.path}: '{_NAME}' {wrong}.")

    def _typed(self, column: pd.Series) -> pd.Series:
        """The column as the pipeline types numbers, booleans and texts. Raises DataError for anything else."""
        present = column.dropna()
        if column.dtype.kind in "iuf" and not isinstance(column.dtype, pd.CategoricalDtype):
            whole = column.dtype.kind in "iu" and len(present) == len(column)
            column = column.astype("int64" if whole and column.dtype != "uint64" else "float64")
            infinite = np.isinf(column.to_numpy(dtype="float64", na_value=np.nan))
            if infinite.any():
                raise DataError(
                    f"{self.path}: column '{column.name}' is infinite in data row {column.index[infinite][0]}: a "
                    "division by zero, a logarithm of 0? Give a missing value there."
                )
            return column
        if column.dtype.kind == "M":
            times = column if column.dt.tz is None else column.dt.tz_convert("UTC").dt.tz_localize(None)
            return times.astype(UNIT)
        kinds = {type(value) for value in present} if column.dtype == object else set()
        if column.dtype.kind == "b" or kinds == {bool}:
            return column.astype("bool") if len(present) == len(column) else column.astype(object)
        if isinstance(column.dtype, pd.StringDtype) or (column.dtype == object and kinds <= {str}):
            return column.astype("str")
        raise DataError(
            f"{self.path}: column '{column.name}' is of the type {column.dtype}, with values such as "
            f"{str(present.iloc[0])[:40]!r} ({type(present.iloc[0]).__name__}). Allowed: numbers, booleans, texts, "
            "dates. Of a category give its text ('.astype(\"str\")')."
        )

    def _as(self, column: pd.Series, kind: str) -> pd.Series:
        """The column as one of the type that it had when the code was fitted: rows in which all of it is missing do not
        show it."""
        if column_type(column) == kind:
            return column
        if column.isna().all():
            empty: pd.Series = column.astype(_EMPTY[kind])
            return empty
        raise DataError(
            f"{self.path}: column '{column.name}' is {column_type(column)} for these rows, and was {kind} for those "
            "that the model was fitted on. Give it one type whatever the rows."
        )

    def _try_rows(self, X: pd.DataFrame, made: pd.DataFrame) -> None:
        """Refuse a function whose result for a row depends on the other rows, or on when it is called."""
        random = np.random.default_rng(0)
        missing = np.flatnonzero(X.isna().any(axis=1).to_numpy())
        with_missing = missing[random.permutation(len(missing))[: TRIED // 2]]
        others = random.permutation(len(X))
        chosen = np.unique(np.concatenate([with_missing, others[: TRIED - len(with_missing)]]))
        shuffled = random.permutation(chosen)
        again = "for the same rows when it is called again (random numbers, the clock?)"
        self._compare(self._made(X.iloc[shuffled]), self._made(X.iloc[shuffled]), again)
        alone = [with_missing[: ALONE // 2], others[: ALONE // 2]]
        for positions in (shuffled, *np.concatenate(alone)[:, None]):
            found = self._made(X.iloc[positions])
            self._compare(
                found,
                made.iloc[positions],
                "for a row among other rows: what it says of a row depends on rows that a model is judged by, which is "
                "leakage. Compute it from the row alone, or write a transformer, whose fit sees the training rows only",
            )

    def _compare(self, found: pd.DataFrame, made: pd.DataFrame, when: str) -> None:
        if differing := sorted(set(map(str, found)) ^ set(map(str, made))):
            raise DataError(f"{self.path}: '{_NAME}' gives other columns ({some(differing)}) {when}.")
        for name in made:
            one, other = made[name], found[name]
            if column_type(one) == "number" and column_type(other) == "number":
                same = np.isclose(one.to_numpy("float64"), other.to_numpy("float64"), TOLERANCE, 0.0, equal_nan=True)
            else:
                same = ((one.astype(object) == other.astype(object)) | (one.isna() & other.isna())).to_numpy()
            if not same.all():
                place = int(np.argmin(same))
                raise DataError(
                    f"{self.path}: '{_NAME}' gives another '{name}' ({one.iloc[place]}, then {other.iloc[place]}, in "
                    f"data row {one.index[place]}) {when}."
                )
