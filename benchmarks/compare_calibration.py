"""How often ``python -m lockstep compare`` calls two models different that are not, and finds one that is better.

On each table models are trained on many random splits of its rows, and compared in pairs on the test rows, as the
command does. *Other seed*: the same settings with another seed of the estimator; any verdict but "no detectable
difference" is a false alarm. *Better*: a weaker model against a stronger one; found is a pair whose stronger model is
better in some metric and worse in none. The splits of a table overlap, so its runs are not quite independent.

    python -m benchmarks.compare_calibration FOLDER    # five processor minutes; --runs N splits per table

FOLDER holds the tables: abalone.csv, breast_cancer.csv, ... (see TABLES); those that are not there are left out.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import lockstep  # noqa: F401 - first: it pins the processor's choices before anything imports NumPy

# isort: split
from lockstep.comparing.evaluations import Evaluated
from lockstep.comparing.model_verdicts import compare_models
from lockstep.comparing.verdicts import ALPHA, BETTER, NO_DIFFERENCE
from lockstep.kernel.log import logger
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_types import KINDS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import predict
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import Table
from stages.evaluate import prediction_table
from stages.preprocess import preprocess
from stages.train import train

import numpy as np
from scipy import stats


class Case(NamedTuple):
    """A table, and two models of it, the second of which is better; ``pair`` names them."""

    target: str
    task: str
    drop: tuple[str, ...]
    pair: str
    weaker: tuple[str, dict[str, Any]]
    stronger: tuple[str, dict[str, Any]]


FOREST = ("random_forest", {"n_estimators": 30})
SHALLOW = ("random_forest", {"n_estimators": 30, "max_depth": 3})
STUMPS = ("random_forest", {"n_estimators": 30, "max_depth": 1})
RIDGE: tuple[str, dict[str, Any]] = ("ridge", {})
TABLES = {
    "abalone": Case("rings", "regression", (), "forest over depth 3", SHALLOW, FOREST),
    "breast_cancer": Case("target", "classification", (), "forest over stumps", STUMPS, FOREST),
    "concrete": Case("strength", "regression", (), "forest over depth 3", SHALLOW, FOREST),
    "diabetes_reg": Case("target", "regression", (), "ridge over stumps", STUMPS, RIDGE),
    "german_credit": Case("credit_risk", "classification", (), "forest over stumps", STUMPS, FOREST),
    "oil_spill": Case("class", "classification", (), "forest over stumps", STUMPS, FOREST),
    "titanic": Case(
        "Survived", "classification", ("PassengerId", "Name", "Ticket", "Cabin"), "forest over stumps", STUMPS, FOREST
    ),
    "wine": Case("target", "classification", (), "forest over stumps", STUMPS, FOREST),
}


def runs(table: Table, case: Case, count: int) -> Iterable[tuple[str, str]]:
    """Of each split, the verdict on two seeds of a forest, and on the weaker model against the stronger one."""
    for run in range(count):
        parts = split_table(table, SplitSettings(seed=run))
        one, other, weaker, stronger = (
            evaluated(parts.train, parts.test, model, seed)
            for model, seed in ((FOREST, 2 * run), (FOREST, 2 * run + 1), (case.weaker, run), (case.stronger, run))
        )
        yield compare_models(one, other).verdict, compare_models(weaker, stronger).verdict


def evaluated(training: Table, test: Table, model: tuple[str, dict[str, Any]], seed: int) -> Evaluated:
    """A model trained and evaluated, as the command finds it."""
    name, hyperparameters = model
    settings = TrainSettings(
        model=name, kind=KINDS[training.task], version=1, seed=seed, hyperparameters=hyperparameters
    )
    preprocessor, processed = preprocess(training, PreprocessSettings(), name)
    fitted = train(processed, preprocessor, test.rows(np.array([], dtype=np.intp)), settings).model
    predictions = prediction_table(test, predict(fitted, test.features, test.task))
    return Evaluated(
        shown=name,
        predictions=predictions,
        task=test.task,
        target=test.target,
        average="macro",
        stratified=test.stratified,
        grouped=False,
        in_time=False,
        raw="the file",
        folds=None,
    )


def share(found: int, count: int) -> str:
    """``12 of 400, 3.0 % (1.6 to 5.2 %)``: with the exact binomial interval (C. Clopper, E. Pearson, 1934)."""
    low, high = stats.binomtest(found, count).proportion_ci(0.95, method="exact")
    return f"{found} of {count}, {found / count:.1%} ({low:.1%} to {high:.1%})"


def main() -> int:
    """Print a Markdown table; 1 if there are more false alarms than ALPHA allows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=50, help="splits of each table; default: %(default)s")
    args = parser.parse_args()
    logger.setLevel("ERROR")
    print("| table | test rows | other seed called different | better | found |")
    print("|---|---|---|---|---|")
    alarms = hits = total = 0
    for name, case in TABLES.items():
        path = args.folder / f"{name}.csv"
        if not path.exists():
            continue
        settings = LoadSettings(path=str(path), task=case.task, target=case.target, drop=list(case.drop))
        table = load_file(path, settings).table
        verdicts = list(runs(table, case, args.runs))
        false = sum(one != NO_DIFFERENCE for one, _ in verdicts)
        found = sum(other == BETTER for _, other in verdicts)
        rows = len(split_table(table, SplitSettings()).test)
        print(f"| {name} | {rows} | {share(false, args.runs)} | {case.pair} | {share(found, args.runs)} |", flush=True)
        alarms, hits, total = alarms + false, hits + found, total + args.runs
    print(f"| all | | {share(alarms, total)} | | {share(hits, total)} |")
    return int(alarms > ALPHA * total)


if __name__ == "__main__":
    raise SystemExit(main())
