"""What pages call the metrics, and which of them they name first."""

from lockstep.kernel.settings import Task
from lockstep.learning.metrics import is_lopsided

TITLES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1_score": "F1",
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "Area under the ROC curve",
    "log_loss": "Log loss",
    "mse": "Mean squared error",
    "mae": "Mean absolute error",
    "r2_score": "R²",
    "rmse": "Root mean squared error",
    "median_absolute_error": "Median absolute error",
}
"""By the metric's key (lockstep/learning/metrics.py)."""


def headline(task: Task, baseline_accuracy: float | None) -> tuple[str, str]:
    """The keys of the two metrics that a table of problems shows."""
    if task == "regression":
        return "mae", "r2_score"
    return ("roc_auc", "balanced_accuracy") if is_lopsided(baseline_accuracy) else ("accuracy", "f1_score")
