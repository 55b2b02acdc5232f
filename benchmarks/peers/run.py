"""Fits a peer on training rows and predicts test rows: called by benchmarks/quality.py with the Python of another
environment (requirements.txt). Imports nothing of Lockstep.

    ~/peers/bin/python benchmarks/peers/run.py flaml --train train.parquet --test test.parquet --target price \\
        --task regression --seconds 60 --predictions predictions.parquet

Writes the predictions, or the probabilities (a column per class), with the test rows' index.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd


def autogluon(
    train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, seconds: float
) -> pd.DataFrame | np.ndarray:
    """AutoGluon's medium quality without neural networks."""
    from autogluon.tabular import TabularPredictor

    classes = train[target].nunique()
    kind = "regression" if task == "regression" else "binary" if classes == 2 else "multiclass"
    metric = "root_mean_squared_error" if task == "regression" else "log_loss"
    with tempfile.TemporaryDirectory() as folder:
        predictor = TabularPredictor(target, kind, metric, path=folder, verbosity=0)
        predictor.fit(
            train, presets="medium_quality", time_limit=seconds, excluded_model_types=["NN_TORCH", "FASTAI"], num_cpus=1
        )
        return predictor.predict(test) if task == "regression" else predictor.predict_proba(test)


def flaml(train: pd.DataFrame, test: pd.DataFrame, target: str, task: str, seconds: float) -> pd.DataFrame | np.ndarray:
    """FLAML's search within the time."""
    from flaml import AutoML

    automl = AutoML()
    metric = "mse" if task == "regression" else "log_loss"
    features = train.drop(columns=target)
    automl.fit(
        features, train[target], task=task, metric=metric, time_budget=seconds, n_jobs=1, seed=0, verbose=0,
        log_file_name="",
    )  # fmt: skip
    if task == "regression":
        return automl.predict(test)
    return pd.DataFrame(automl.predict_proba(test), columns=automl.classes_)


PEERS = {"autogluon": autogluon, "flaml": flaml}


def main() -> None:
    """Fit, predict, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    for name in ("train", "test", "predictions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--target", required=True)
    parser.add_argument("--task", choices=["classification", "regression"], required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    train, test = pd.read_parquet(args.train), pd.read_parquet(args.test)
    found = PEERS[args.peer](train, test.drop(columns=args.target), args.target, args.task, args.seconds)
    frame = pd.DataFrame(found)
    frame.columns = [str(name) for name in frame]
    frame.set_axis(test.index).to_parquet(args.predictions)


if __name__ == "__main__":
    main()
