"""How well the models that ``add`` chooses predict, beside what a user would take instead, on the same rows.

    python -m benchmarks.quality ~/tables                                      # beside the libraries' defaults
    python -m benchmarks.quality ~/tables --python ~/peers/bin/python --peers flaml autogluon --seconds 60

Each table is read, decided on and split as ``add`` and the stages do. The product's choice and its peers are fitted on
the training rows and compared on the test rows, by log loss or R²: Markdown, a line for each table and model. Beside
them stand the model type voting with its default members, and the product's choice after a search (``tune``) of as many
trials as --seconds are likely to be enough for. The interval is that of the difference (a peer's metric less the
product's) in 95 % of 1,000 resamples of the test rows; one that has 0 in it is no difference. Processor seconds are of
fit and prediction; OMP_NUM_THREADS=1 makes them comparable.
Peers run in an environment of their own (benchmarks/peers/requirements.txt), and are joined by row.
"""

import argparse
import logging
import resource
import subprocess
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.deciding.decide import decide as decide_on_folds
from lockstep.intake.choosing.decisions import decide
from lockstep.intake.detecting.file_format import look
from lockstep.intake.problems.adding import describe, try_out
from lockstep.kernel.errors import LockstepError
from lockstep.kernel.settings import convert
from lockstep.learning.cross_validation import CrossValidateSettings, cross_validate, out_of_fold
from lockstep.learning.estimators import TrainSettings, with_best_trial
from lockstep.learning.model_types import KINDS, VOTING
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import given_to_actual, predict
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.splitting.parts import Parts, SplitSettings, split_table
from lockstep.steps.tuning.search import search
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.tables.table import Table
from stages.preprocess import preprocess
from stages.train import train

import numpy as np
import pandas as pd

DEFAULTS = ("random_forest", "hist_gradient_boosting", "lightgbm")
"""The model types that are fitted with their libraries' defaults beside the product's choice."""
NATIVE = PreprocessSettings(numeric_impute="native", encode="native")
"""What a vote's default members take."""
RESAMPLES = 1_000
LEAST = np.finfo(np.float64).eps
"""Probabilities below this count as this in the log loss."""


class Outcome(NamedTuple):
    """What a model makes of the test rows.

    Attributes:
        found: (n_rows,): the predicted numbers, or the probability that each row's own class was given.
        seconds: of the processor.
    """

    found: np.ndarray
    seconds: float


def main() -> None:
    """Print the lines of each table as soon as they are known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", type=Path, help="the Python of the peers' environment")
    parser.add_argument("--peers", nargs="*", default=[], choices=["autogluon", "flaml"])
    parser.add_argument("--seconds", type=float, default=60, help="what each peer, and a search, may take")
    args = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    print("| table | rows | metric | model | value | difference, 95 % | processor s |")
    print("|---|---|---|---|---|---|---|")
    for path in sorted(args.folder.glob("*.csv"), key=lambda path: path.stat().st_size):
        try:
            compare(path, args)
        except LockstepError as error:
            print(f"| {path.name} | {error} |" + " |" * 5, flush=True)


class Added(NamedTuple):
    """A table as ``add`` reads it, and the sections that it chooses."""

    table: Table
    split: SplitSettings
    train: TrainSettings
    preprocess: PreprocessSettings


def as_added(path: Path, given: Mapping[str, Any]) -> Added:
    """Read and decide as ``add`` does, ``given``: {setting: value}. Raises LockstepError if it refuses the table."""
    facts = look(path, given)
    problem, contract = describe(facts, decide(facts, given), path)
    try_out(path, problem, contract)
    return Added(
        load_file(path, convert(problem["load"], LoadSettings, "load"), contract).table,
        convert(problem["split"], SplitSettings, "split"),
        convert(problem["train"], TrainSettings, "train"),
        convert(problem["preprocess"], PreprocessSettings, "preprocess"),
    )


def compare(path: Path, args: argparse.Namespace) -> None:
    """Print the lines of one table. Raises LockstepError if ``add`` refuses it."""
    table, split, settings, chosen = as_added(path, {})
    parts = split_table(table, split)
    test = parts.test
    product = fitted(parts, settings, chosen)
    metric = "log loss" if test.task == "classification" else "R2"
    value = metric_of(test, product.found, np.arange(len(test)))
    about = f"| {path.name} | {len(table):,} | {metric} |"
    print(f"{about} **{settings.model}, as add chooses** | {value:.4f} | | {product.seconds:.1f} |", flush=True)
    vote = TrainSettings(model=VOTING, kind=settings.kind, version=1)
    print_peer(about, "voting, default members", test, fitted(parts, vote, NATIVE), product)
    print_peer(about, f"tune, {args.seconds:.0f} s", test, searched(parts, settings, chosen, args.seconds), product)
    for name in DEFAULTS:
        plain = TrainSettings(model=name, kind=KINDS[test.task], version=1)
        print_peer(about, f"{name}, defaults", test, fitted(parts, plain, PreprocessSettings()), product)
    for name in args.peers:
        print_peer(about, name, test, of_peer(parts, name, args), product)


def print_peer(about: str, name: str, test: Table, peer: Outcome, product: Outcome) -> None:
    """Print a peer's line."""
    random = np.random.default_rng(0)
    samples = [random.integers(0, len(test), len(test)) for _ in range(RESAMPLES)]
    differences = [metric_of(test, peer.found, rows) - metric_of(test, product.found, rows) for rows in samples]
    low, high = np.quantile(differences, [0.025, 0.975])
    value = metric_of(test, peer.found, np.arange(len(test)))
    print(f"{about} {name} | {value:.4f} | {low:+.4f} to {high:+.4f} | {peer.seconds:.1f} |", flush=True)


def metric_of(test: Table, found: np.ndarray, rows: np.ndarray) -> float:
    """The log loss or R² of the test rows at the positions ``rows``."""
    if test.task == "classification":
        return float(-np.mean(np.log(np.clip(found[rows], LEAST, None))))
    actual = test.labels[rows]
    return float(1 - np.sum((actual - found[rows]) ** 2) / np.sum((actual - actual.mean()) ** 2))


def fitted(parts: Parts, settings: TrainSettings, chosen: PreprocessSettings) -> Outcome:
    """Fit as the stages do, and predict the test rows."""
    start, test = time.process_time(), parts.test
    preprocessor, processed = preprocess(parts.train, chosen, settings.model)
    model = train(processed, preprocessor, parts.validation, settings).model
    if settings.calibrate != "none":
        folds = out_of_fold(cross_validate(parts.train, CrossValidateSettings(), chosen, settings))
        model, _ = decide_on_folds(model, folds, settings, parts.train.positive)
    found = predict(model, test.features, test.task)
    seconds = time.process_time() - start
    if found.probabilities is None or found.classes is None:
        return Outcome(found.values, seconds)
    return Outcome(given_to_actual(test.labels, found.probabilities, found.classes), seconds)


def searched(parts: Parts, settings: TrainSettings, chosen: PreprocessSettings, seconds: float) -> Outcome:
    """Search for hyperparameters, for about as long as ``seconds``, then fit with the best ones."""
    start, folds = time.process_time(), CrossValidateSettings()
    search(parts.train, TuneSettings(trials=1), folds, chosen, settings)
    taken = time.process_time() - start
    trials = max(1, round(2 * (seconds - taken) / taken))
    best = search(parts.train, TuneSettings(trials=trials), folds, chosen, settings).best
    found = fitted(parts, with_best_trial(settings, best), chosen)
    return found._replace(seconds=time.process_time() - start)


def of_peer(parts: Parts, name: str, args: argparse.Namespace) -> Outcome:
    """Let a peer fit and predict in its own environment."""
    test, before = parts.test, resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        files = {part: Path(folder) / f"{part}.parquet" for part in ("train", "test", "predictions")}
        for part, table in (("train", parts.train), ("test", test)):
            table.frame[[*table.features, table.target]].to_parquet(files[part])
        command = [args.python, Path(__file__).parent / "peers/run.py", name, "--seconds", str(args.seconds)]
        command += [word for part, file in files.items() for word in (f"--{part}", file)]
        subprocess.run([*command, "--target", test.target, "--task", test.task], check=True, capture_output=True)
        found = pd.read_parquet(files["predictions"]).loc[test.frame.index]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if test.task == "regression":
        return Outcome(found.iloc[:, 0].to_numpy(dtype="float64"), seconds)
    known = {str(label): label for label in [*parts.train.labels.tolist(), *test.labels.tolist()]}
    classes = np.array([known[str(name)] for name in found], dtype=test.labels.dtype)
    return Outcome(given_to_actual(test.labels, found.to_numpy(dtype="float64"), classes), seconds)


if __name__ == "__main__":
    main()
