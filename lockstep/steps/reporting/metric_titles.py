"""What pages call the metrics, and which of them they name first."""

from collections.abc import Container

from lockstep.kernel.settings import Task
from lockstep.learning.metrics import is_lopsided

TITLES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1_score": "F1",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "Area under the ROC curve",
    "rare_class_average_precision": "Average precision of the rarer class",
    "rare_class_precision": "Precision of the rarer class",
    "rare_class_recall": "Recall of the rarer class",
    "log_loss": "Log loss",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "median_absolute_error": "Median absolute error",
    "r2_score": "R²",
    "mse": "Mean squared error",
}
"""By the metric's key (lockstep/learning/metrics.py), in the order of a table."""
RATIOS = frozenset(TITLES) - {"log_loss", "mae", "rmse", "median_absolute_error", "mse"}
"""Those whose values near 0 are 0 for a reader, whatever the data."""


def headline(task: Task, baseline_accuracy: float | None, known: Container[str]) -> list[str]:
    """The keys of the two metrics that a table of problems shows, of those that are ``known``."""
    keys: tuple[str, ...] = ("accuracy", "f1_score")
    if task == "regression":
        keys = ("mae", "r2_score")
    elif is_lopsided(baseline_accuracy):
        keys = ("rare_class_average_precision", "roc_auc", "balanced_accuracy")
    return [key for key in keys if key in known][:2]
