"""How the preprocessor is built and fitted: imputation, encoding and scaling of raw feature columns, made of
scikit-learn's parts only.

The column choices (which are constant, which have many levels) are made from the rows that it is built for, so that a
cross-validation fold that builds its own learns nothing from the rows it is scored on.
"""

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Annotated, Any, Literal, TypeAlias

from lockstep.kernel.errors import DataError, SettingsError, did_you_mean, some
from lockstep.kernel.log import counting, logger
from lockstep.kernel.settings import Seed, Settings
from lockstep.learning.date_parts import date_parts
from lockstep.learning.model_types import MODELS, model_type
from lockstep.learning.own_features import OwnFeatures
from lockstep.learning.refusals import refusals_of
from lockstep.learning.text_encoding import names_of_components, text_components
from lockstep.tables.statistics import n_distinct
from lockstep.tables.table import Table, column_type

import msgspec
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

Preprocessor: TypeAlias = ColumnTransformer | Pipeline
"""With features of the user's own it is a pipeline, of them and of the encoder, which makes numbers."""
TARGET_FOLDS = 5
"""The folds that target encoding cross-fits on, so that no row's encoding has seen the row's own target."""
MOST_CATEGORIES = 254
"""Native categories of a column at most: histogram boosting knows 255 values, one of which is the missing one."""
_MOSTLY_DIFFERENT = 0.5
"""Where more rows than this share have a text of their own, its levels tell nothing beside its components."""
CATEGORIES = "native"
"""The kind of column, and what the names of its encoded columns begin with, whose codes are categories."""
_TEXT = "text"
"""The kind of column whose texts are condensed to components."""
_RAW_TYPES = {"number": "number", "boolean": "boolean", "date": "date", "missing": ""}
_RAW_TYPES |= dict.fromkeys(("onehot", "ordinal", "target", CATEGORIES, "ordered", _TEXT), "text")
"""{kind of column: the type of its cells}; "" for any."""
_MAY_MISS = ("number", "boolean", "date", "ordered")
"""The kinds of columns whose missing values are left as they are unless a step imputes them."""
_SCALERS = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}


class PreprocessSettings(Settings, frozen=True):
    """The section ``preprocess``; what each key means stands in params.yaml."""

    numeric_impute: Literal["mean", "median", "most_frequent", "native"] = "mean"
    categorical_impute: Literal["most_frequent", "missing"] = "most_frequent"
    missing_indicator: bool = False
    scale: Literal["auto", "none", "standard", "minmax", "robust"] = "auto"
    encode: Literal["auto", "onehot", "ordinal", "target", "native"] = "auto"
    max_levels: Annotated[int, msgspec.Meta(ge=2)] = 30
    text_columns: tuple[str, ...] = ()
    text_components: Annotated[int, msgspec.Meta(ge=1)] = 30
    seed: Seed = 42


def check_settings(settings: PreprocessSettings, model: str) -> None:
    """Raise SettingsError if the settings leave to the model type ``model`` what it cannot take."""
    kind = model_type(model)
    for key, value, able, other in (
        ("numeric_impute", settings.numeric_impute, kind.native_missing, "mean"),
        ("encode", settings.encode, kind.native_categories is not None, "auto"),
    ):
        if value == "native" and not able:
            what = "missing values" if key == "numeric_impute" else "categories"
            models = [name for name, entry in MODELS.items() if entry.native_missing and entry.native_categories]
            raise SettingsError(
                f"preprocess.{key} is native, but the model type {model} does not take {what} as they are. Set it to "
                f"{other}, or train.model to one that does: {', '.join(models)}."
            )


def check_text_columns(settings: PreprocessSettings, types: Mapping[str, str]) -> None:
    """Raise SettingsError if a column of ``text_columns`` is not among the features, {column: type}, or is no text."""
    for name in settings.text_columns:
        if name not in types:
            has = f"which is not among the features: {some(types, 20)}.{did_you_mean(name, types)}"
            raise SettingsError(f"preprocess.text_columns lists '{name}', {has}")
        if types[name] != "text":
            raise SettingsError(
                f"preprocess.text_columns lists '{name}', whose type is {types[name]}. Only columns of type text have "
                "words: take it off the list."
            )


def build_preprocessor(
    table: Table, settings: PreprocessSettings, model: str, *, log: bool = True
) -> ColumnTransformer:
    """Build an unfitted transformer of raw feature columns, (n_rows, n_features), to numbers, (n_rows, n_encoded).

    Args:
        table: the training rows; columns that are constant or all missing in them are left out.
        settings: the section ``preprocess``.
        model: the model type that the numbers are for; decides what ``auto`` means.
        log: whether to log the columns that are left out.

    Raises:
        DataError: no column is left.
        SettingsError: see check_settings; or a column of ``text_columns`` is no text, or not there.
    """
    check_settings(settings, model)
    scale_free = model_type(model).scale_free
    features = table.features
    check_text_columns(settings, {str(name): column_type(features[name]) for name in features})
    kinds = ("number", "boolean", "onehot", "ordinal", "target", CATEGORIES, "missing", "date", "ordered", _TEXT)
    columns: dict[str, list[str]] = {kind: [] for kind in kinds}
    ordered = _declared_orders(table)
    left_out = []
    for name in map(str, features):
        kind = column_type(features[name])
        if kind == "text":
            missing_is_a_level = settings.categorical_impute == "missing" or settings.encode == "native"
        else:
            missing_is_a_level = settings.numeric_impute == "native"
        different = n_distinct(features[name])
        levels = different + (missing_is_a_level and bool(features[name].isna().any()))
        indicated = settings.missing_indicator and kind != "text" and 0 < features[name].count() < len(features)
        if indicated:
            columns["missing"].append(name)
        is_free = name in settings.text_columns and different > 1
        if is_free:
            columns[_TEXT].append(name)
        if name in ordered and levels > 1:
            columns["ordered"].append(name)
        elif levels > 1 and not (is_free and different > len(features) * _MOSTLY_DIFFERENT):
            columns[kind if kind != "text" else _encoding(levels, settings, scale_free)].append(name)
        elif levels <= 1 and not indicated:
            left_out.append(f"'{name}'")
    if left_out and log:
        logger.warning("left out, being constant or empty in the training rows: %s", some(left_out, 20))
    if not any(columns.values()):
        raise DataError(
            "every feature is constant or empty in the training rows: there is nothing to learn from. Add columns."
        )
    steps = _steps(table, settings, scale_free)
    if columns["date"]:
        steps["date"] = [("parts", date_parts(features[columns["date"]])), *steps["number"]]
    if columns["ordered"]:
        steps["ordered"] = _ordered_steps([ordered[name] for name in columns["ordered"]], settings, scale_free)
    if columns[_TEXT]:
        components = text_components(features[columns[_TEXT]], settings.text_components, settings.seed)
        steps[_TEXT] = [("components", components), *_scaling(settings, scale_free)]
    return ColumnTransformer([(kind, Pipeline(steps[kind]), names) for kind, names in columns.items() if names])


def _scaling(settings: PreprocessSettings, scale_free: bool) -> list[tuple[str, Any]]:
    """The step that scales numbers, if there is one."""
    scale = ("none" if scale_free else "standard") if settings.scale == "auto" else settings.scale
    return [] if scale == "none" else [("scale", _SCALERS[scale]())]


def _cast_to_text() -> FunctionTransformer:
    return FunctionTransformer(methodcaller("astype", "str"), feature_names_out="one-to-one")


def _steps(table: Table, settings: PreprocessSettings, scale_free: bool) -> dict[str, list[tuple[str, Any]]]:
    """What is done to each kind of column that has the same steps in every table: {kind: the steps of a pipeline}."""
    scaling = _scaling(settings, scale_free)
    native = settings.numeric_impute == "native"
    impute_text = (
        SimpleImputer(strategy="most_frequent")
        if settings.categorical_impute == "most_frequent"
        else SimpleImputer(strategy="constant", fill_value="missing")
    )
    # Users' rows come with all of pandas' types for texts, booleans and missing values (None, NaN, NA); each of these
    # casts makes one of them. They are calls of pandas' own methods, so that a saved model needs nothing of Lockstep to
    # be loaded.
    as_float = FunctionTransformer(methodcaller("astype", "float64"), feature_names_out="one-to-one")
    as_text = _cast_to_text()
    find_missing = FunctionTransformer(methodcaller("isna"), feature_names_out="one-to-one")
    onehot = OneHotEncoder(
        sparse_output=False, handle_unknown="infrequent_if_exist", max_categories=settings.max_levels
    )
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    # An unknown level is a missing one: what estimators do with a code that they have not seen differs.
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    target = _target_encoder(table, settings.seed)
    return {
        "number": [
            ("cast", as_float) if native else ("impute", SimpleImputer(strategy=settings.numeric_impute)),
            *scaling,
        ],
        "boolean": [("cast", as_float), *([] if native else [("impute", SimpleImputer(strategy="most_frequent"))])],
        "onehot": [("cast", as_text), ("impute", impute_text), ("encode", onehot)],
        "ordinal": [("cast", as_text), ("impute", impute_text), ("encode", ordinal), *scaling],
        "target": [("cast", as_text), ("impute", impute_text), ("encode", target), *scaling],
        CATEGORIES: [("cast", as_text), ("encode", codes)],
        "missing": [("find", find_missing), ("cast", as_float)],
    }


def _declared_orders(table: Table) -> dict[str, Sequence[str]]:
    """{column: its levels in order} of the features whose contract declares one; not of a column that the user's own
    features have given other texts."""
    return {
        name: levels
        for name, levels in table.levels.items()
        if name in table.features
        and column_type(table.features[name]) == "text"
        and table.features[name].isin(levels).any()
    }


def _ordered_steps(
    orders: Sequence[Sequence[str]], settings: PreprocessSettings, scale_free: bool
) -> list[tuple[str, Any]]:
    """What is done to texts whose levels have an order: they are numbers, 0 for the first level. A level that is not
    declared is a missing one.

    Args:
        orders: the levels of each column.
    """
    codes = OrdinalEncoder(
        categories=[list(levels) for levels in orders], handle_unknown="use_encoded_value", unknown_value=np.nan
    )
    steps = [("cast", _cast_to_text()), ("encode", codes)]
    if settings.encode != "native":
        steps.append(
            (
                "impute",
                SimpleImputer(strategy="most_frequent")
                if settings.categorical_impute == "most_frequent"
                else SimpleImputer(strategy="constant", fill_value=-1.0),
            )
        )
    return [*steps, *_scaling(settings, scale_free)]


def raw_types_of(encoder: ColumnTransformer, known: Mapping[str, str]) -> dict[str, str]:
    """{column: type} of the raw columns that a fitted encoder takes, types as column_type names them.

    Args:
        encoder: fitted; see encoder_of.
        known: the same of columns that it was fitted on: of one that is only looked at for missing values, it does not
            tell the type itself.
    """
    found: dict[str, str] = {}
    for kind, _, columns in encoder.transformers_:
        for column in columns if kind in _RAW_TYPES else ():
            found[column] = _RAW_TYPES[kind] or found.get(column) or known.get(column, "number")
    return found


def encoder_of(preprocessor: Preprocessor) -> ColumnTransformer:
    """The part of a preprocessor that makes numbers: all of it, but for features of the user's own."""
    return preprocessor[-1] if isinstance(preprocessor, Pipeline) else preprocessor


def categories_of(preprocessor: Preprocessor) -> list[int] | None:
    """The numbers of the encoded columns whose values are codes of categories, by a fitted preprocessor; None if it
    leaves neither categories nor missing values as they are, so that any estimator can take what it makes."""
    encoder = encoder_of(preprocessor)
    steps = [fitted.named_steps for kind, fitted, _ in encoder.transformers_ if kind in _MAY_MISS]
    if CATEGORIES not in encoder.output_indices_ and all("impute" in names for names in steps):
        return None
    span = encoder.output_indices_.get(CATEGORIES, slice(0, 0))
    return list(range(span.start, span.stop))


def _encoding(levels: int, settings: PreprocessSettings, scale_free: bool) -> str:
    if settings.encode not in ("auto", "native"):
        return settings.encode
    most = settings.max_levels if settings.encode == "auto" else min(settings.max_levels, MOST_CATEGORIES)
    if levels > most:
        return "target"
    if settings.encode == "native":
        return CATEGORIES
    return "ordinal" if scale_free else "onehot"


def _target_encoder(table: Table, seed: int) -> TargetEncoder:
    """Encodes each level by its mean target, shrunk towards the overall mean (Micci-Barreca 2001)."""
    if table.task == "regression":
        # Named, since scikit-learn takes a target of whole numbers for classes.
        return TargetEncoder(target_type="continuous", cv=KFold(TARGET_FOLDS, shuffle=True, random_state=seed))
    classes, counts = np.unique(table.labels, return_counts=True)
    kind = "binary" if len(classes) == 2 else "multiclass"
    folds = max(2, min(TARGET_FOLDS, counts.max()))
    return TargetEncoder(target_type=kind, cv=StratifiedKFold(folds, shuffle=True, random_state=seed))


def fit_preprocessor(
    table: Table,
    settings: PreprocessSettings,
    model: str,
    *,
    features: OwnFeatures | None = None,
    log: bool = True,
    overwrite: bool = False,
) -> tuple[Preprocessor, pd.DataFrame]:
    """Fit the preprocessor on the rows of ``table``, and encode them.

    Args:
        features: the user's own, which come first; a copy of them is fitted.
        overwrite: whether the features' cells in ``table`` may become the encoded ones, which saves a copy of them. Not
            for a table that shares its cells with another one, or whose features are looked at afterwards.

    Returns:
        The fitted transformer (with features of the user's own a pipeline of both), and a float64 frame (n_rows,
        n_encoded) with the index of the table. Target-encoded columns are cross-fitted in it: a row's value comes from
        the other folds, and differs from what ``transform`` gives.
    """
    own = None if features is None else OwnFeatures(features.path)
    taken = {table.target, table.weight, table.group, table.time}
    table = table if own is None else own.apply(table)
    preprocessor = build_preprocessor(table, settings, model, log=log)
    # A column that is looked at for missing values, too, must not be filled before.
    in_place = overwrite and "missing" not in (kind for kind, _, _ in preprocessor.transformers)
    with refusals_of(preprocessor, "fit"), _sparing(preprocessor, in_place=in_place), _columns_counted(preprocessor):
        encoded = preprocessor.fit_transform(table.features, table.labels)
    encoded.index, encoded.columns = table.frame.index, _distinct(_encoded_names(preprocessor), taken)
    fitted = preprocessor if own is None else Pipeline([("features", own), ("preprocess", preprocessor)])
    return fitted, encoded


class _Unstacked(ColumnTransformer):  # type: ignore[misc]
    """Gives what its transformers give as a frame, each kind of column a piece of memory of its own, where scikit-learn
    copies all of them into one array."""

    def _hstack(self, Xs: Sequence[Any], *, n_samples: int) -> pd.DataFrame:  # noqa: ARG002 - scikit-learn names it
        parts = (pd.DataFrame(np.asarray(X, dtype="float64"), copy=False) for X in Xs)
        return pd.concat(parts, axis="columns", ignore_index=True)


@contextlib.contextmanager
def _sparing(encoder: ColumnTransformer, *, in_place: bool) -> Iterator[None]:
    """While the block runs, let ``encoder`` give its columns without stacking them; and fill and scale numbers in place
    of a copy of them, if they are one piece of memory. It is scikit-learn's again afterwards, with its settings."""
    encoder.__class__ = _Unstacked
    try:
        _set_copy(encoder.transformers, copy=not in_place)
        yield
        _set_copy([*encoder.transformers, *encoder.transformers_], copy=True)
    finally:
        encoder.__class__ = ColumnTransformer


@contextlib.contextmanager
def _columns_counted(encoder: ColumnTransformer) -> Iterator[None]:
    """While the block runs, have ``encoder`` count the columns that it has encoded. Its pipelines are scikit-learn's
    again afterwards."""
    with counting(sum(width for _, width in _pipelines(encoder)), "columns") as progress:

        class Counted(Pipeline):  # type: ignore[misc]
            def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
                encoded = super().fit_transform(X, y, **params)
                progress.advance(1 if X.ndim == 1 else X.shape[1])
                return encoded

        _set_class(encoder, Counted)
        try:
            yield
        finally:
            _set_class(encoder, Pipeline)


def _set_class(encoder: ColumnTransformer, kind: type[Pipeline]) -> None:
    for pipeline, _ in _pipelines(encoder):
        pipeline.__class__ = kind


def _pipelines(encoder: ColumnTransformer) -> Iterator[tuple[Pipeline, int]]:
    """The pipelines of an encoder, the fitted ones, too, and of how many columns each is; each text has its own."""
    for kind, pipeline, columns in (*encoder.transformers, *getattr(encoder, "transformers_", ())):
        if kind == _TEXT:
            yield from _pipelines(pipeline.named_steps["components"].named_steps["encode"])
        elif isinstance(pipeline, Pipeline):
            yield pipeline, 1 if isinstance(columns, str) else len(columns)


def _set_copy(transformers: Iterable[tuple[str, Any, Any]], *, copy: bool) -> None:
    for _, pipeline, _ in transformers:
        for _, step in pipeline.steps if isinstance(pipeline, Pipeline) else ():
            if hasattr(step, "copy"):
                step.set_params(copy=copy)


def _encoded_names(encoder: ColumnTransformer) -> list[str]:
    names = list(map(str, encoder.get_feature_names_out()))
    if _TEXT in encoder.named_transformers_:
        names[encoder.output_indices_[_TEXT]] = names_of_components(encoder.named_transformers_[_TEXT][0])
    return names


def _distinct(names: Iterable[str], others: Collection[str | None]) -> list[str]:
    """Number ``names`` where one stands twice ('a_b' + 'c' and 'a' + 'b_c') or is among ``others``."""
    taken, result = set(others), []
    for name in names:
        number, distinct = 2, name
        while distinct in taken:
            number, distinct = number + 1, f"{name}_{number}"
        taken.add(distinct)
        result.append(distinct)
    return result
