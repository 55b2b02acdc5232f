"""How well the models that ``add`` chooses predict, beside what a user would take instead, on the same rows.

    python -m benchmarks.quality ~/tables                                      # beside the libraries' defaults
    python -m benchmarks.quality ~/tables --python ~/peers/bin/python --peers flaml autogluon --seconds 60

Each table is read, decided on and split as ``add`` and the stages do. The product's choice and its peers are fitted on
the training rows and compared on the test rows, by log loss or R²: Markdown, a line for each table and model. Beside
them stand the model type voting with its default members, and the product's choice after a search (``tune``) of as many
trials as --seconds are likely to be enough for. The interval is that of the difference (a peer's metric less the
product's) in 95 % of 1,000 resamples of the test rows, drawn as they were: by groups, by blocks of time, by class. One
that has 0 in it is no difference. It says what other test rows would change, not what another split would: --splits 5
splits each table that is split at random as often, by as many seeds, shows the means, and has the interval of the
corrected resampled t-test (comparing/significance.py). Processor seconds are of fit and prediction, of one split on
average; OMP_NUM_THREADS=1 makes them comparable.
Peers run in an environment of their own (benchmarks/peers/requirements.txt), and are joined by row.
"""

import argparse
import logging
import resource
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.comparing.significance import corrected_t_test
from lockstep.deciding.decide import decide as decide_on_folds
from lockstep.intake.choosing.setting_choices import make_choices
from lockstep.intake.detecting.file_format import look
from lockstep.intake.problems.adding import describe_problem, try_out
from lockstep.kernel.errors import LockstepError
from lockstep.kernel.settings import convert
from lockstep.learning.cross_validation import CrossValidateSettings, PipelineSettings, cross_validate, out_of_fold
from lockstep.learning.estimators import TrainSettings, with_best_trial
from lockstep.learning.model_types import VOTING
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import given_to_actual, predict
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.evaluating.design import Design
from lockstep.steps.splitting.parts import Parts, SplitSettings, split_table
from lockstep.steps.tuning.search import search
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.tables.table import Table
from stages.preprocess import preprocess
from stages.train import train

import msgspec
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
    parser.add_argument("--splits", type=int, default=1, help="of a table that is split at random")
    parser.add_argument("--alone", action="store_true", help="the peers and the product's choice, nothing beside them")
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
    problem, contract = describe_problem(facts, make_choices(facts, given), path)
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
    seeds = range(split.seed, split.seed + (args.splits if split.time is None else 1))
    parts = [split_table(table, msgspec.structs.replace(split, seed=seed)) for seed in seeds]
    metric = "log loss" if table.task == "classification" else "R2"
    about = f"| {path.name} | {len(table):,} | {metric} |"

    def outcomes(of: Callable[[Parts], Outcome]) -> list[Outcome]:
        return [of(one) for one in parts]

    def line(name: str, peer: Sequence[Outcome]) -> None:
        low, high = difference(parts, peer, product)
        print(f"{about} {name} | {means(parts, peer, f'{low:+.4f} to {high:+.4f}')}", flush=True)

    def plain(model: str, preprocess: PreprocessSettings) -> list[Outcome]:
        return outcomes(lambda one: fitted(one, TrainSettings(model=model, kind=settings.kind, version=1), preprocess))

    product = outcomes(lambda one: fitted(one, settings, chosen))
    print(f"{about} **{settings.model}, as add chooses** | {means(parts, product, '')}", flush=True)
    if not args.alone:
        line("voting, default members", plain(VOTING, NATIVE))
        line(f"tune, {args.seconds:.0f} s", outcomes(lambda one: searched(one, settings, chosen, args.seconds)))
        for name in DEFAULTS:
            line(f"{name}, defaults", plain(name, PreprocessSettings()))
    for name in args.peers:
        line(name, outcomes(lambda one, name=name: of_peer(one, name, args)))  # type: ignore[misc]


def means(parts: Sequence[Parts], outcomes: Sequence[Outcome], shown: str) -> str:
    """The rest of a line: the metric's mean over the splits, what is ``shown`` behind it, the seconds."""
    value = np.mean([metric_of(one.test, own.found) for one, own in zip(parts, outcomes, strict=True)])
    return f"{value:.4f} | {shown} | {np.mean([own.seconds for own in outcomes]):.1f} |"


def difference(parts: Sequence[Parts], peer: Sequence[Outcome], product: Sequence[Outcome]) -> tuple[float, float]:
    """The 95 % interval of a peer's metric less the product's: of one split, by its test rows; of several, by them."""

    def differences(split: int, weights: np.ndarray | None = None) -> float:
        test = parts[split].test
        return metric_of(test, peer[split].found, weights) - metric_of(test, product[split].found, weights)

    if len(parts) == 1:
        resamples = Design.of_table(parts[0].test).draws(RESAMPLES, np.random.default_rng(0))
        found = [differences(0, weights) for chunk in resamples for weights in chunk]
        low, high = np.quantile(found, [0.025, 0.975])
        return float(low), float(high)
    found = [differences(split) for split in range(len(parts))]
    sizes = np.array([(len(one.train), len(one.test)) for one in parts])
    return corrected_t_test(np.array(found), sizes[:, 0], sizes[:, 1]).interval or (min(found), max(found))


def metric_of(test: Table, found: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The log loss or R² of test rows that count as ``weights`` say; None: all alike."""
    if test.task == "classification":
        return float(-np.average(np.log(np.clip(found, LEAST, None)), weights=weights))
    actual = test.labels
    mean = np.average(actual, weights=weights)
    errors, spread = (np.average((actual - of) ** 2, weights=weights) for of in (found, mean))
    return float(1 - errors / spread)


def fitted(parts: Parts, settings: TrainSettings, chosen: PreprocessSettings) -> Outcome:
    """Fit as the stages do, and predict the test rows."""
    start, test = time.process_time(), parts.test
    preprocessor, processed = preprocess(parts.train, chosen, settings.model)
    model = train(processed, preprocessor, parts.validation, settings).model
    if settings.calibrate != "none":
        folds = out_of_fold(cross_validate(parts.train, CrossValidateSettings(), PipelineSettings(chosen, settings)))
        model, _ = decide_on_folds(model, folds, settings, parts.train.positive)
    found = predict(model, test.features, test.task)
    seconds = time.process_time() - start
    if found.probabilities is None or found.classes is None:
        return Outcome(found.values, seconds)
    return Outcome(given_to_actual(test.labels, found.probabilities, found.classes), seconds)


def searched(parts: Parts, settings: TrainSettings, chosen: PreprocessSettings, seconds: float) -> Outcome:
    """Search for hyperparameters, for about as long as ``seconds``, then fit with the best ones."""
    start, folds = time.process_time(), CrossValidateSettings()
    search(parts.train, TuneSettings(trials=1), folds, PipelineSettings(chosen, settings))
    taken = time.process_time() - start
    trials = max(1, round(2 * (seconds - taken) / taken))
    best = search(parts.train, TuneSettings(trials=trials), folds, PipelineSettings(chosen, settings)).best
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
