"""The metrics: their names, which way is better, which have a baseline. How each is computed: scoring.py."""

from collections.abc import Collection
from typing import NamedTuple

from lockstep.kernel.errors import SettingsError, nearest
from lockstep.kernel.settings import Task


class Metric(NamedTuple):
    """A metric.

    Attributes:
        lower_is_better: of the others a higher value is.
        has_baseline: whether the baseline's value is among the metrics of an evaluation; these come first.
        averaged: over the classes, as the setting evaluate.average says.
        of_scores: computed from scores or probabilities, not from the classes that are predicted.
        power: of the target's unit in the metric's own: 0 of a metric without unit, 2 of its square.
    """

    lower_is_better: bool = False
    has_baseline: bool = False
    averaged: bool = False
    of_scores: bool = False
    power: int = 0


METRICS: dict[Task, dict[str, Metric]] = {
    "classification": {
        "accuracy": Metric(has_baseline=True),
        "precision": Metric(has_baseline=True, averaged=True),
        "recall": Metric(has_baseline=True, averaged=True),
        "f1_score": Metric(has_baseline=True, averaged=True),
        "balanced_accuracy": Metric(),
        "roc_auc": Metric(of_scores=True),
        "rare_class_average_precision": Metric(of_scores=True),
        "rare_class_precision": Metric(),
        "rare_class_recall": Metric(),
        "log_loss": Metric(lower_is_better=True, of_scores=True),
    },
    "regression": {
        "mse": Metric(lower_is_better=True, has_baseline=True, power=2),
        "mae": Metric(lower_is_better=True, has_baseline=True, power=1),
        "r2_score": Metric(has_baseline=True),
        "rmse": Metric(lower_is_better=True, power=1),
        "median_absolute_error": Metric(lower_is_better=True, power=1),
    },
}
"""By task and key, in the order in which they are shown; those of scores and of RARE_CLASS_METRICS where they can be
computed."""
RARE_CLASS_METRICS = ("rare_class_average_precision", "rare_class_precision", "rare_class_recall")
"""Of the rare one of two classes, where the other is so frequent (FREQUENT) that accuracy says little."""
ALL = METRICS["classification"] | METRICS["regression"]
_OTHER = Metric()
"""Any metric beside these, which rises as a model gets better (own_metrics.py)."""
AUTO: dict[Task, str] = {"classification": "accuracy", "regression": "r2_score"}
"""The metric of folds, learning curves and sweeps: every model type has it, and it rises as the model gets better."""
FREQUENT = 0.8
"""The share of the test rows above which a class leaves only rare ones beside it."""


def is_lopsided(baseline_accuracy: float | None) -> bool:
    """Whether a baseline that always names the most frequent class is right in so many of the test rows that accuracy
    says little: the other classes are rare, and other metrics come first."""
    return baseline_accuracy is not None and baseline_accuracy > FREQUENT


def metric_of(key: str) -> Metric:
    """What is known of a metric."""
    return ALL.get(key, _OTHER)


def in_order(names: Collection[str], task: Task) -> list[str]:
    """The metrics of these names in the order in which they are shown: the built-in ones, then the others."""
    return [*(name for name in METRICS[task] if name in names), *sorted(name for name in names if name not in ALL)]


def qualified(key: str, average: str | None, unit: str = "", name: str | None = None) -> str:
    """Name a metric for a table: "precision (macro)", "mae in kg", but "accuracy".

    Args:
        key: the metric's.
        average: over the classes; None in a regression.
        unit: of the target; "" if it is not known.
        name: what the table calls the metric; by default its key.
    """
    name, metric = name or key, metric_of(key)
    if average and metric.averaged:
        return f"{name} ({average})"
    return f"{name} in {unit}{'²' if metric.power == 2 else ''}" if unit and metric.power else name


def find_metric(name: str, task: Task, where: str, own: Collection[str] = ()) -> str:
    """Find the metric that a setting means; see AUTO.

    Args:
        name: a metric's, or auto.
        task: of the problem.
        where: the setting, for the message.
        own: the keys of those beside the built-in ones.

    Raises:
        SettingsError: the task has no metric of that name.
    """
    if name == "auto":
        return AUTO[task]
    if name not in (known := [*METRICS[task], *own]):
        near = ", ".join(nearest(name, known))
        raise SettingsError(f"{where}: '{name}' is no metric of {task}. Allowed: auto, {near}.")
    return name
