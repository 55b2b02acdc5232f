"""What was decided on out-of-fold predictions, as it stands in a model's sidecar: plain numbers and texts, so that the
stage ``report`` reads it without a library that fits or scores anything."""

from collections.abc import Mapping
from typing import Any

from lockstep.kernel.errors import IntegrityError

import msgspec


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the JSON: a key that is not declared here is an error."""


class ChosenThreshold(_Part, frozen=True):
    """From where on a row is given the positive class.

    Attributes:
        value: of the positive class's probability or, where the model has none, of its score.
        by: "cost", a metric, or "given" where the settings name the number.
        positive: the class.
        default: where the model's own decision lies: 0.5, or 0 for a score.
        false_positive, false_negative: the cost of either mistake; None where the settings have none.
        rows: out-of-fold predictions that it was chosen on.
        reached, reached_by_default: ``metric`` on these rows.
        curve: (threshold, the metric or cost) from the lowest threshold to the highest.
    """

    value: float
    by: str
    positive: str
    default: float
    false_positive: float | None
    false_negative: float | None
    rows: int
    reached: float
    reached_by_default: float
    curve: list[tuple[float, float]]

    @property
    def metric(self) -> str:
        """What it is judged by: what it was chosen by; of a given one the mean cost of a row, if there are costs, else
        F1. F1 is that of the positive class."""
        if self.by != "given":
            return self.by
        return "f1_score" if self.false_positive is None else "cost"


class NumberIntervals(_Part, frozen=True, tag="regression", tag_field="task"):
    """Prediction intervals of numbers: the prediction plus and minus a width that depends on the prediction.

    Attributes:
        level: the share of rows that they are to cover.
        rows: out-of-fold predictions that they come from.
        edges: where the predicted value falls into another bin, rising; one less than there are bins.
        widths: half the length of the interval in each bin, in the target's unit.
    """

    level: float
    rows: int
    edges: list[float]
    widths: list[float]


class ClassSets(_Part, frozen=True, tag="classification", tag_field="task"):
    """Prediction sets of classes.

    Attributes:
        level: the share of rows, of each class, whose set is to hold their class.
        rows: out-of-fold predictions that they come from.
        least: {class: the probability from which on it is in the set}.
        pooled: classes that have too few rows for a number of their own, and take that of all rows.
    """

    level: float
    rows: int
    least: dict[str, float]
    pooled: list[str]


class Decision(_Part, frozen=True):
    """What a model's saved form has beyond its fit; ``intervals`` are applied beside it.

    Attributes:
        calibrate: how its probabilities are calibrated: none, sigmoid, isotonic, temperature.
        threshold: None for the model's own decision.
        intervals: None where none were asked for, or none can be had.
    """

    calibrate: str = "none"
    threshold: ChosenThreshold | None = None
    intervals: NumberIntervals | ClassSets | None = None


NO_DECISION = Decision()
"""Of a model that is used as it was fitted."""


def decision_of(about: Mapping[str, Any]) -> Decision:
    """The decision that the sidecar of a model records; that of a model of before there were any, if it has none.

    Args:
        about: what ``saving.sidecar.read_about`` gives.

    Raises:
        IntegrityError: it is no decision that Lockstep wrote.
    """
    try:
        return msgspec.convert(about.get("decision", {}), Decision)
    except msgspec.ValidationError as error:
        raise IntegrityError(f"the model's sidecar has a 'decision' that Lockstep did not write ({error}).") from None
