"""What the section ``tune`` says, and what a search may choose a hyperparameter from: a range of numbers, or a list."""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from lockstep.kernel.errors import SettingsError, nearest
from lockstep.kernel.settings import Seed, Settings

import msgspec


class TuneSettings(Settings, frozen=True):
    """The section ``tune``; what each key means stands in params.yaml."""

    trials: Annotated[int, msgspec.Meta(ge=0)] = 0
    metric: str = "auto"
    seed: Seed = 42
    space: dict[str, Any] = msgspec.field(default_factory=dict)


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, both included; whole numbers only if both are.

    With ``log``, 1 to 10 is as wide as 10 to 100.
    """

    low: float
    high: float
    log: bool


Space = dict[str, Range | list[Any]]
"""By the name of the hyperparameter."""
_ALLOWED = (
    "Allowed: a range such as {low: 1, high: 20}, with log: true for a logarithmic one, or a list of values such as "
    "[gini, entropy]"
)


def parse_space(values: Mapping[str, Any], where: str) -> Space:
    """Read a Space from the mapping of params.yaml, sorted by name: DVC takes mappings in another order for the same.

    Raises:
        SettingsError: it names the key below ``where``, and what is allowed.
    """
    return {name: _entry(values[name], f"{where}.{name}") for name in sorted(values)}


def ends(entry: Range | list[Any]) -> list[Any]:
    """The values of an entry that are to be checked: if they are legal, all are."""
    return entry if isinstance(entry, list) else [entry.low, entry.high]


def holds(entry: Range | list[Any], value: Any) -> bool:
    """Whether the search could come up with ``value``."""
    if isinstance(entry, list):
        return key_of(value) in map(key_of, entry)
    whole = isinstance(entry.low, int) and isinstance(entry.high, int)
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return number and bool(entry.low <= value <= entry.high)


def key_of(value: Any) -> str:
    """A text that is equal for values that are the same setting: unlike == it tells 1 from true."""
    return json.dumps(value, default=str)


def _entry(value: Any, where: str) -> Range | list[Any]:
    if isinstance(value, list | tuple):
        if not value:
            raise SettingsError(f"{where} is an empty list: there is nothing to choose from. {_ALLOWED}.")
        if not all(map(_plain, value)):
            raise SettingsError(f"{where} has a value that is no number, text, boolean, null or list of these.")
        return list(value)
    if not isinstance(value, Mapping):
        raise SettingsError(f"{where} is {value!r}. {_ALLOWED}.")
    for key in value:
        if key not in Range._fields:
            near = nearest(key, Range._fields)
            raise SettingsError(f"{where}.{key} is not a setting. Allowed, nearest first: {', '.join(near)}.")
    for key in ("low", "high"):
        number = value.get(key)
        if not isinstance(number, int | float) or isinstance(number, bool) or not math.isfinite(number):
            state = f"is {number!r}" if key in value else "is missing"
            raise SettingsError(f"{where}.{key} {state}. Allowed: a number. {_ALLOWED}.")
    low, high, log = value["low"], value["high"], value.get("log", False)
    if not isinstance(log, bool):
        raise SettingsError(f"{where}.log is {log!r}. Allowed: true or false.")
    if low >= high:
        raise SettingsError(f"{where}: low, {low}, must be below high, {high}. {_ALLOWED}.")
    if log and low <= 0:
        raise SettingsError(f"{where}.low is {low}. Allowed with log: true: a number above 0. Else set log to false.")
    return Range(low, high, log)


def _plain(value: Any) -> bool:
    """Whether JSON, in which the best trial is written, can hold the value as it is."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | str)
