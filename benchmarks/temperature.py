"""What ``train.calibrate: temperature`` does to the models that ``add`` chooses, on test rows.

    python -m benchmarks.temperature ~/tables/wine.csv ~/tables/titanic.csv:Pclass    # FILE, or FILE:TARGET for another
    python -m benchmarks.temperature ~/tables/sick.csv --rows 1000                    # of that many rows, at random

Each table is read, decided on, split and fitted as ``add`` and the stages do, without calibration and with it: the
temperature is fitted on the out-of-fold predictions of the training rows. Markdown, a line for each table: the mean log
loss of the test rows over the splits, on how many of these it is lower with it, and the interval, 95 %, of the mean
difference (with less without). Splits of one table overlap: the variance is that of C. Nadeau, Y. Bengio, Machine
Learning 52 (2003); of a single split, as of rows in order of time, the interval is that of resampled test rows.
*Factor*: what the logarithms of the probabilities are multiplied by, the median of the splits; below 1 the model was
too sure. A split whose out-of-fold predictions are all right has no temperature, and counts as it is.
"""

import argparse
import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lockstep  # noqa: F401 - first: it pins the processor's choices before anything imports NumPy
from lockstep.learning.cross_validation import PipelineSettings

# isort: split
from benchmarks.quality import LEAST, RESAMPLES, as_added
from lockstep.comparing.significance import corrected_t_test
from lockstep.deciding.decide import decide as decide_on_folds
from lockstep.kernel.errors import LockstepError
from lockstep.learning.cross_validation import CrossValidateSettings, cross_validate, out_of_fold
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import given_to_actual, predict
from lockstep.steps.splitting.parts import Parts, split_table
from lockstep.tables.table import Table
from stages.preprocess import preprocess
from stages.train import train

import msgspec
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline


class Outcome(NamedTuple):
    """Of one split, (n_test,): what each test row adds to the log loss without and with a temperature; the number of
    training rows; and what the temperature multiplies logarithms by."""

    without: np.ndarray
    calibrated: np.ndarray
    n_train: int
    factor: float


def main() -> None:
    """Print the line of each table as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", metavar="FILE[:TARGET]")
    parser.add_argument("--splits", type=int, default=10, help="of each table; default: %(default)s")
    parser.add_argument("--rows", type=int, help="of each table, drawn at random")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    print("| table | rows | model | splits | without | with | lower on | difference, 95 % | factor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in args.tables:
        path, _, target = name.partition(":")
        try:
            with tempfile.TemporaryDirectory() as folder:
                measure(sampled(Path(path), args.rows, Path(folder)), target, args.splits)
        except LockstepError as error:
            print(f"| {Path(name).name} | {error} |" + " |" * 7, flush=True)


def sampled(path: Path, rows: int | None, folder: Path) -> Path:
    """The file itself, or one of so many of its rows."""
    if rows is None:
        return path
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    chosen = np.sort(np.random.default_rng(0).permutation(len(frame))[:rows])
    frame.iloc[chosen].to_csv(folder / path.name, index=False)
    return folder / path.name


def measure(path: Path, target: str, splits: int) -> None:
    """Print the line of one table. Raises LockstepError if ``add`` refuses it."""
    given = {"load.target": target, "load.task": "classification"} if target else {}
    table, cut, settings, chosen = as_added(path, given)
    if table.task != "classification":
        return
    settings = msgspec.structs.replace(settings, calibrate="temperature")
    splits = splits if cut.time is None else 1  # the seed cuts nothing then
    found = [
        outcome(split_table(table, msgspec.structs.replace(cut, seed=cut.seed + number)), settings, chosen)
        for number in range(splits)
    ]
    differences = np.array([np.mean(one.calibrated - one.without) for one in found])
    without, calibrated = (np.mean([each.mean() for each in side]) for side in list(zip(*found, strict=True))[:2])
    low, high = interval(found)
    print(
        f"| {path.name}{':' * bool(target)}{target} | {len(table):,} | {settings.model} | {splits} | {without:.4f} | "
        f"{calibrated:.4f} | {np.sum(differences < 0)} | {low:+.4f} to {high:+.4f} | "
        f"{np.median([one.factor for one in found]):.2f} |",
        flush=True,
    )


def interval(found: Sequence[Outcome]) -> tuple[float, float]:
    """Of the mean difference over the splits; of one split over resamples of its test rows."""
    differences = [one.calibrated - one.without for one in found]
    if len(found) == 1:
        rows = np.random.default_rng(0).integers(0, len(differences[0]), (RESAMPLES, len(differences[0])))
        low, high = np.quantile(differences[0][rows].mean(axis=1), [0.025, 0.975])
        return float(low), float(high)
    means = np.array([each.mean() for each in differences])
    sizes = np.array([one.n_train for one in found]), np.array([len(each) for each in differences])
    return corrected_t_test(means, *sizes).interval or (float(means.mean()), float(means.mean()))


def outcome(parts: Parts, settings: TrainSettings, chosen: PreprocessSettings) -> Outcome:
    """Fit as the stages do, and measure on the test rows."""
    folds = out_of_fold(cross_validate(parts.train, CrossValidateSettings(), PipelineSettings(chosen, settings)))
    preprocessor, processed = preprocess(parts.train, chosen, settings.model)
    fitted = train(processed, preprocessor, parts.validation, settings).model
    without = losses(fitted, parts.test)
    model, decision = decide_on_folds(fitted, folds, settings, parts.train.positive)
    if decision.calibrate == "none":
        return Outcome(without, without, len(parts.train), 1.0)
    (calibrator,) = model[-1].calibrated_classifiers_[0].calibrators
    # Of two classes scikit-learn takes a score for the logarithm of either class's probability, which is half of it.
    halved = 2 if hasattr(fitted[-1], "decision_function") and len(fitted.classes_) == 2 else 1
    return Outcome(without, losses(model, parts.test), len(parts.train), float(calibrator.beta_) * halved)


def losses(model: Pipeline, test: Table) -> np.ndarray:
    """(n_rows,) what each test row adds to the log loss."""
    found = predict(model, test.features, test.task)
    assert found.probabilities is not None
    assert found.classes is not None
    given = given_to_actual(test.labels, found.probabilities, found.classes)
    each: np.ndarray = -np.log(np.clip(given, LEAST, 1))
    return each


if __name__ == "__main__":
    main()
