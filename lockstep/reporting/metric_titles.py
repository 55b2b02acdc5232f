"""What pages call the metrics, and which of them they name first."""

from lockstep.kernel.settings import Task

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
HEADLINE: dict[Task, str] = {"classification": "accuracy", "regression": "mae"}
"""The metric of a report's first sentence."""
