"""The plain alternative that scale.py compares the pipeline with: the same by hand, nothing recorded, nothing checked.

    python benchmarks/plain_large.py large.csv model.joblib

Prints, for each part of the work, its name, wall seconds and processor seconds.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score, roc_auc_score
from sklearn.model_selection import cross_val_score, train_test_split


@contextmanager
def part(name: str) -> Iterator[None]:
    """Print what the block takes."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    print(name, time.perf_counter() - wall, time.process_time() - processor)


def main(table: str, model: str) -> None:
    with part("read"):
        frame = pd.read_csv(table)
    with part("split"):
        features, target = frame.drop(columns="target"), frame["target"]
        x_train, x_test, y_train, y_test = train_test_split(
            features, target, test_size=0.2, random_state=42, stratify=target
        )
    with part("cross_validate"):
        cross_val_score(HistGradientBoostingClassifier(random_state=42), x_train, y_train, cv=5)
    with part("train"):
        estimator = HistGradientBoostingClassifier(random_state=42).fit(x_train, y_train)
    with part("evaluate"):
        predicted, probabilities = estimator.predict(x_test), estimator.predict_proba(x_test)
        for metric in (accuracy_score, precision_score, recall_score, f1_score):
            metric(y_test, predicted)
        roc_auc_score(y_test, probabilities[:, 1])
        log_loss(y_test, probabilities)
    with part("write"):
        joblib.dump(estimator, model)


if __name__ == "__main__":
    main(*sys.argv[1:])
