"""How often ``python -m lockstep watch`` raises an alarm where nothing changed, and finds changes of stated sizes.

Each time anew, rows are drawn for training, test and a batch, a linear model is fitted, and the batch is watched with
its truth, as the command does. *made*: a table of a known distribution, each draw independent of the others, so that
the interval of a count is exact. *housing*: random disjoint parts of the bundled table, whose draws share rows. Then
batches of the made table are changed: an alarm is then a finding. Metrics are resampled 999 times, a tenth of what the
command does.

    python -m benchmarks.watch                 # some ten processor minutes; --batches N, default 400
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lockstep  # noqa: F401 - first: it pins the processor's choices before anything imports NumPy

# isort: split
from benchmarks.compare_calibration import share
from lockstep.comparing.verdicts import ALPHA
from lockstep.deployment.watching.batch import Batch, Reference, Watched, watch_batch
from lockstep.kernel.log import logger
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_types import KINDS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import predict
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.evaluating import resampling
from lockstep.tables.table import ROW, Table
from stages.preprocess import preprocess
from stages.train import train

import numpy as np
import pandas as pd

TRAIN, TEST, BATCH = 2000, 500, 500
"""Rows of each draw."""
CHANGED = 100
"""Batches of each change."""
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]
"""What is done to the rows of a batch, truth included."""


class Drawn(NamedTuple):
    """Rows for training, for the test, and of a batch, truth included."""

    train: Table
    test: Table
    batch: Table


def made(random: np.random.Generator) -> Drawn:
    """Five numbers (one skewed, one that misses 5 % of its values), two columns of texts, a boolean; two classes."""
    n = TRAIN + TEST + BATCH
    numbers = random.normal(size=(n, 5))
    frame = pd.DataFrame(numbers, columns=[f"number{place}" for place in range(5)])
    frame["number3"] = np.exp(frame["number3"])
    frame["few"] = random.choice(["low", "middle", "high"], n, p=[0.5, 0.3, 0.2])
    frame["many"] = [f"level{level}" for level in random.zipf(2, n).clip(max=20)]
    frame["flag"] = random.random(n) < 0.3
    signal = numbers[:, 0] + numbers[:, 1] / 2 + (frame["few"] == "high") - frame["flag"]
    frame["y"] = np.where(signal + random.logistic(size=n) > 0, "yes", "no")
    frame.loc[random.random(n) < 0.05, "number4"] = np.nan
    return _cut(frame, "y", "classification")


def _cut(frame: pd.DataFrame, target: str, task: str) -> Drawn:
    table = Table(frame.set_axis(pd.Index(np.arange(1, len(frame) + 1), name=ROW)), target, task)
    first, second = TRAIN, TRAIN + TEST
    parts = np.arange(first), np.arange(first, second), np.arange(second, second + BATCH)
    return Drawn(*(table.rows(positions) for positions in parts))


def housing() -> Callable[[np.random.Generator], Drawn]:
    """A function that draws from the bundled table."""
    settings = LoadSettings(path="data/raw/housing.csv", task="regression", target="price", drop=["avalue"])
    table = load_file(Path("data/raw/housing.csv"), settings).table

    def draw(random: np.random.Generator) -> Drawn:
        chosen = random.choice(len(table), TRAIN + TEST + BATCH, replace=False)
        return _cut(table.frame.iloc[chosen], "price", "regression")

    return draw


def watched(drawn: Drawn, change: Change, seed: int, *, with_truth: bool = True) -> Watched:
    """Fit a linear model and watch the batch, changed."""
    task = drawn.train.task
    name = "logistic_regression" if task == "classification" else "ridge"
    settings = TrainSettings(model=name, kind=KINDS[task], version=1)
    preprocessor, processed = preprocess(drawn.train, PreprocessSettings(), name)
    model = train(processed, preprocessor, drawn.test.rows(np.array([], dtype=np.intp)), settings).model
    batch = Table(change(drawn.batch.frame.copy(), np.random.default_rng(seed)), drawn.batch.target, task)
    rows = batch.features
    reference = Reference(drawn.train, drawn.test, predict(model, drawn.test.features, task))
    new = Batch(rows, predict(model, rows, task))
    if with_truth:
        new = new._replace(known=np.arange(len(rows)), y=batch.labels)
    return watch_batch(reference, new)


def same(frame: pd.DataFrame, _: np.random.Generator) -> pd.DataFrame:
    """No change."""
    return frame


def moved(size: float) -> Change:
    """A number moves by ``size`` standard deviations."""
    return lambda frame, _: frame.assign(number2=frame["number2"] + size)


def missing(part: float) -> Change:
    """A part of a number's values goes missing."""
    return lambda frame, random: frame.assign(number4=frame["number4"].mask(random.random(len(frame)) < part))


def unknown(part: float) -> Change:
    """A part of the rows has a level that no training row has."""
    return lambda frame, random: frame.assign(few=frame["few"].mask(random.random(len(frame)) < part, "new"))


def flipped(part: float) -> Change:
    """A part of the rows has the other class."""
    other = {"yes": "no", "no": "yes"}
    return lambda frame, random: frame.assign(
        y=frame["y"].mask(random.random(len(frame)) < part, frame["y"].map(other))
    )


OF_INPUTS = {
    **{f"a number moves by {size} standard deviations": moved(size) for size in (0.1, 0.2, 0.3, 0.5)},
    **{f"{part:.0%} more of a number's values are missing": missing(part) for part in (0.02, 0.05, 0.1)},
    **{f"{part:.0%} of the rows have an unknown level": unknown(part) for part in (0.01, 0.02, 0.05)},
}
OF_TRUTH = {f"{part:.0%} of the rows have the other class": flipped(part) for part in (0.05, 0.1, 0.2)}


def main() -> int:
    """Print two Markdown tables; 1 if more batches raise a false alarm than ALPHA allows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=400, help="of each table, unchanged; default: %(default)s")
    args = parser.parse_args()
    logger.setLevel("ERROR")
    resampling.MOST_RESAMPLES = resampling.LEAST_RESAMPLES
    print(f"| change of the made table | found, of {CHANGED} batches |\n|---|---|")
    for word, changes in (("shifted", OF_INPUTS), ("worse", OF_TRUTH)):
        for what, change in changes.items():
            hits = sum(
                word in watched(made(np.random.default_rng(seed)), change, seed, with_truth=word == "worse").found
                for seed in range(10_000, 10_000 + CHANGED)
            )
            print(f"| {what} | {word}: {share(hits, CHANGED)} |", flush=True)
    print("\n| table, unchanged | any alarm | shifted | worse |\n|---|---|---|---|")
    most = 0
    for name, draw in (("made", made), ("housing", housing())):
        found = [watched(draw(np.random.default_rng(seed)), same, seed).found for seed in range(args.batches)]
        counts = [sum(map(bool, found)), *(sum(what in each for each in found) for what in ("shifted", "worse"))]
        print(f"| {name} | {' | '.join(share(count, args.batches) for count in counts)} |", flush=True)
        most = max(most, counts[0])
    return int(most > ALPHA * args.batches)


if __name__ == "__main__":
    raise SystemExit(main())
