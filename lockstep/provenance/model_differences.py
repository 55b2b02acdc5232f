"""What differs between two fitted models: which step, which attribute, by how much."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import BuiltinFunctionType, FunctionType
from typing import Any

from lockstep.saving.joblib_file import PROTOCOL

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

MAX_DEPTH = 40


def model_differences(before: Any, after: Any, name: str = "model") -> Iterator[str]:
    """A line for each attribute that differs: ``model.model.coef_: 3 of 12 numbers, by at most 2e-16``.

    Args:
        before, after: estimators, or what their attributes hold. A step of a pipeline is called by its name, an element
            of a list by its place, any other attribute by its own name.
    """
    yield from _compare(before, after, name, 0)


def _compare(a: Any, b: Any, name: str, depth: int) -> Iterator[str]:
    if a is b:
        return
    if type(a) is not type(b):
        yield f"{name}: {type(a).__name__} → {type(b).__name__}"
    elif depth > MAX_DEPTH:
        return
    elif isinstance(a, Pipeline) and [key for key, _ in a.steps] == [key for key, _ in b.steps]:
        for (key, one), (_, other) in zip(a.steps, b.steps, strict=True):
            yield from _compare(one, other, f"{name}.{key}", depth + 1)
    elif isinstance(a, np.ndarray):
        yield from _arrays(a, b, name, depth)
    elif isinstance(a, pd.DataFrame | pd.Series | pd.Index):
        if not a.equals(b):
            yield f"{name}: {type(a).__name__} with other content"
    elif isinstance(a, Mapping):
        yield from _items(dict(a), dict(b), name, depth, "[{!r}]")
    elif isinstance(a, Sequence) and not isinstance(a, str | bytes):
        if len(a) != len(b):
            yield f"{name}: {len(a)} → {len(b)} elements"
        else:
            for place, (one, other) in enumerate(zip(a, b, strict=True)):
                yield from _compare(one, other, f"{name}[{place}]", depth + 1)
    elif isinstance(a, float):
        if a != b and not (math.isnan(a) and math.isnan(b)):
            yield f"{name}: {a!r} → {b!r}, by {abs(a - b):.3g}"
    elif (states := _states(a, b)) is not None:
        yield from _items(*states, name, depth, ".{}")
    elif a != b:
        yield f"{name}: {_short(a)} → {_short(b)}"


def _items(a: dict[Any, Any], b: dict[Any, Any], name: str, depth: int, form: str) -> Iterator[str]:
    for key in [*a, *(key for key in b if key not in a)]:
        place = name + form.format(key)
        if key not in a or key not in b:
            yield f"{place}: {'new' if key not in a else 'gone'}"
        else:
            yield from _compare(a[key], b[key], place, depth + 1)


def _states(a: Any, b: Any) -> tuple[dict[Any, Any], dict[Any, Any]] | None:
    """The attributes of two objects of one class, or None for values that have none, such as texts.

    Objects of compiled code (losses, search trees, random generators) show what they would be pickled from.
    """
    if isinstance(a, BaseEstimator):
        return vars(a), vars(b)
    if isinstance(a, str | bytes | int | type | FunctionType | BuiltinFunctionType) or a is None:
        return None
    found = []
    for one in (a, b):
        state = one.__getstate__()
        if not isinstance(state, dict):
            reduced = one.__reduce_ex__(PROTOCOL)
            state = {"arguments": reduced[1], "state": reduced[2] if len(reduced) > 2 else None}
        found.append(state)
    return found[0], found[1]


def _arrays(a: np.ndarray, b: np.ndarray, name: str, depth: int) -> Iterator[str]:
    if a.dtype != b.dtype or a.shape != b.shape:
        yield f"{name}: {a.dtype} of shape {a.shape} → {b.dtype} of shape {b.shape}"
    elif a.dtype.names:  # the nodes of trees
        for field in a.dtype.names:
            yield from _arrays(a[field], b[field], f"{name}[{field!r}]", depth)
    elif a.dtype == object:
        for place in np.ndindex(a.shape):
            yield from _compare(a[place], b[place], f"{name}[{', '.join(map(str, place))}]", depth + 1)
    elif a.dtype.kind in "fc":
        with np.errstate(invalid="ignore"):
            distance = np.abs(a - b)
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        if differs.any():
            most = np.nanmax(np.where(differs, distance, 0))
            yield f"{name}: {differs.sum():,} of {a.size:,} numbers, by at most {most:.3g}"
    elif not np.array_equal(a, b):
        yield f"{name}: {np.sum(a != b):,} of {a.size:,} elements"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
