"""The plain alternative that overhead.py compares the pipeline with: one scikit-learn script, no DVC, no checks.

It is what a data scientist would write in a notebook to get the results of ``dvc repro evaluate@iris``: the same rows
in the same parts, the same model, and so the same metrics as metrics/iris.json.

    python benchmarks/plain_iris.py data/raw/iris.csv FOLDER
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

TARGET = "target"
SEED = 42


def headline(y: pd.Series, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy, and macro-averaged precision, recall and F1."""
    precision, recall, f1, _ = precision_recall_fscore_support(y, predicted, average="macro", zero_division=0)
    return {
        "accuracy": float(accuracy_score(y, predicted)),
        "precision": float(precision),
        "recall": float(recall),
        "f1_score": float(f1),
    }


def curves(y: pd.Series, probabilities: np.ndarray, classes: np.ndarray) -> pd.DataFrame:
    """ROC, precision-recall and calibration points of each class against the rest."""
    tables = []
    for name, score in zip(classes, probabilities.T, strict=True):
        positive = y == name
        false_positive_rate, true_positive_rate, _ = roc_curve(positive, score)
        precision, recall, _ = precision_recall_curve(positive, score)
        observed, predicted = calibration_curve(positive, score, n_bins=10, strategy="quantile")
        for curve, x, values in (
            ("ROC", false_positive_rate, true_positive_rate),
            ("precision-recall", recall, precision),
            ("calibration", predicted, observed),
        ):
            tables.append(pd.DataFrame({"curve": curve, "series": name, "x": x, "y": values}))
    return pd.concat(tables)


def main(source: Path, folder: Path) -> None:
    """Train on ``source``, write model, metrics, predictions and curves into ``folder``."""
    data = pd.read_csv(source)
    train, test = train_test_split(data, test_size=0.2, stratify=data[TARGET], random_state=SEED)
    # In the file's order, as the pipeline keeps its rows: a forest's bootstrap depends on the order.
    train, test = train.sort_index(), test.sort_index()
    X_train, y_train = train.drop(columns=TARGET), train[TARGET]
    X_test, y_test = test.drop(columns=TARGET), test[TARGET]

    impute = ColumnTransformer([("number", SimpleImputer(strategy="mean"), list(X_train.columns))])
    forest = RandomForestClassifier(n_estimators=100, max_depth=10, random_state=SEED)
    model = Pipeline([("preprocess", impute), ("model", forest)])
    model.fit(X_train, y_train)

    predicted, probabilities = model.predict(X_test), model.predict_proba(X_test)
    dummy = DummyClassifier(strategy="prior").fit(X_train, y_train)
    metrics = {
        **headline(y_test, predicted),
        "balanced_accuracy": float(balanced_accuracy_score(y_test, predicted)),
        "roc_auc": float(roc_auc_score(y_test, probabilities, multi_class="ovr", labels=model.classes_)),
        "log_loss": float(log_loss(y_test, probabilities, labels=model.classes_)),
        **{f"baseline_{name}": value for name, value in headline(y_test, dummy.predict(X_test)).items()},
        "average": "macro",
        "test_rows": len(test),
    }
    importance = permutation_importance(model, X_test, y_test, n_repeats=5, random_state=SEED)
    table = pd.DataFrame({"row": test.index, "actual": y_test.to_numpy(), "predicted": predicted})
    for name, column in zip(model.classes_, probabilities.T, strict=True):
        table[f"probability_{name}"] = column
    matrix = confusion_matrix(y_test, predicted, labels=model.classes_)

    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib", compress=3)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")
    table.to_parquet(folder / "predictions.parquet", index=False)
    curves(y_test, probabilities, model.classes_).to_csv(folder / "curves.csv", index=False)
    pd.DataFrame(matrix, model.classes_, model.classes_).to_csv(folder / "confusion.csv")
    pd.DataFrame(
        {"feature": X_test.columns, "importance": importance.importances_mean, "std": importance.importances_std}
    ).to_csv(folder / "importance.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
