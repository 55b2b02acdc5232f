"""What a search for hyperparameters saves by encoding each fold once: processor seconds of the same trials both ways.

    python -m benchmarks.search data/raw/housing.csv price --drop avalue          # or any other regression table

The search is compared with a cross-validation of each setting that it tried. Prints a row of the table in README.md per
model type, and fails where a score differs in a bit.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lockstep.learning.cross_validation import CrossValidateSettings, PipelineSettings, cross_validate, fold_summary
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.steps.tuning.search import search
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.tables.table import Table

import msgspec

SPACES: dict[str, dict[str, Any]] = {
    "ridge": {"alpha": {"low": 0.01, "high": 1000.0, "log": True}},
    "extra_trees": {"max_depth": {"low": 4, "high": 12}},
    "hist_gradient_boosting": {"learning_rate": {"low": 0.02, "high": 0.3, "log": True}},
}
FEW = {"extra_trees": {"n_estimators": 20}, "hist_gradient_boosting": {"max_iter": 50}}
FOLDS = CrossValidateSettings()


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("target")
    parser.add_argument("--drop", nargs="*", default=[])
    parser.add_argument("--trials", type=int, default=30)
    args = parser.parse_args()
    load = LoadSettings(path=str(args.path), task="regression", target=args.target, drop=tuple(args.drop))
    train = split_table(load_file(args.path, load).table, SplitSettings()).train
    for name, space in SPACES.items():
        compare(train, name, TuneSettings(trials=args.trials, space=space), args.path.name)


def compare(train: Table, name: str, settings: TuneSettings, table: str) -> None:
    """Time both ways. Raises AssertionError where the scores differ."""
    model = TrainSettings(model=name, kind="regressor", version=1, hyperparameters=FEW.get(name, {}))
    once, found = timed(lambda: search(train, settings, FOLDS, PipelineSettings(PreprocessSettings(), model)))
    tried = {cells[5:-1]: cells[2] for cells in found.trials}

    def each() -> list[float]:
        means = []
        for number, cells in enumerate(tried):
            values = dict(zip(found.columns[5:-1], map(json.loads, cells), strict=True)) if number else {}
            setting = msgspec.structs.replace(model, hyperparameters={**model.hyperparameters, **values})
            means.append(
                fold_summary(cross_validate(train, FOLDS, PipelineSettings(PreprocessSettings(), setting)))[
                    "r2_score_mean"
                ]
            )
        return means

    one_by_one, means = timed(each)
    assert means == list(tried.values())
    fits = f"{len(tried)} x {FOLDS.folds}"
    print(f"| {table} | `{name}` | {fits} | {one_by_one:.1f} | {once:.1f} | {one_by_one / once:.1f} |", flush=True)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """(processor seconds of all threads, result)"""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


if __name__ == "__main__":
    main()
