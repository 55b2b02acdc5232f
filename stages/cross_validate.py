"""Cross-validate the whole pipeline on the raw training rows.

Reads   the raw training rows, the best trial of the search for hyperparameters, and the code of the user's own features
Writes  the scores of every fold, their means and standard deviations, and what each row was predicted to be by the
        models that had not seen it

    python -m stages.cross_validate --problem iris --train data/split/iris/train.parquet \\
        --features features/iris.py --best-trial metrics/iris_tune.json --scores metrics/iris_cross_validation.json \\
        --folds metrics/plots/iris/folds.csv --predictions data/out_of_fold/iris.parquet
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import add_used_code, run_stage, stage_parser
from lockstep.learning.computing.kept_results import KeptResults
from lockstep.learning.cross_validation import (
    Averaging,
    CrossValidateSettings,
    FoldScores,
    PipelineSettings,
    cross_validate,
    fold_summary,
    out_of_fold,
)
from lockstep.learning.estimators import TrainSettings, with_best_trial
from lockstep.learning.own_features import read_features
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.search_result import read_best_trial
from lockstep.tables.table import read_hashed_table

FOLD_COLUMNS = ("repeat", "fold", "n_train", "n_test", "metric", "value")


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("cross_validate", CrossValidateSettings)
    preprocess = problem.section("preprocess", PreprocessSettings)
    scored = problem.pick("evaluate", Averaging)
    best = read_best_trial(args.best_trial)
    model = with_best_trial(problem.section("train", TrainSettings), best)
    (train, sha256), features = read_hashed_table(args.train), read_features(args.features)
    depends_on = [sha256, args.features, settings, preprocess, model, scored]
    kept = KeptResults(f"cross_validate@{problem.name}", depends_on)
    outputs.afterwards(kept.remove)
    pipeline = PipelineSettings(preprocess, model, features)
    scores = cross_validate(train, settings, pipeline, scored.average, scored.metrics, kept)
    means = fold_summary(scores)
    for name in [key.removesuffix("_mean") for key in means if key.endswith("_mean")]:
        logger.info("%s: %.4g +- %.2g", name, means[f"{name}_mean"], means[f"{name}_std"])
    if best is not None and best.hyperparameters:
        logger.info("these scores are optimistic: on the same rows the search chose its best trial among many")
    content = means | ({"average": scored.average} if train.task == "classification" else {})
    outputs.json(args.scores, content)
    outputs.csv(args.folds, FOLD_COLUMNS, fold_rows(scores))
    predictions = out_of_fold(scores)
    outputs.write(args.predictions, lambda path: predictions.to_parquet(path, index=False, compression="zstd"))


def fold_rows(scores: Sequence[FoldScores]) -> list[tuple[Any, ...]]:
    """Every metric of every fold, a row of FOLD_COLUMNS each."""
    return [(*fold[:4], name, value) for fold in scores for name, value in fold.metrics.items()]


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("cross_validate", __doc__)
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--features", type=Path, metavar="PY", help="the user's own features (default: none)")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="what the search found")
    parser.add_argument("--scores", type=Path, required=True, metavar="JSON", help="write means and deviations here")
    parser.add_argument("--folds", type=Path, required=True, metavar="CSV", help="write the scores of every fold here")
    parser.add_argument("--predictions", type=Path, required=True, metavar="PARQUET", help="write predictions here")
    add_used_code(parser, "estimators", "scorers")
    return run_stage("cross_validate", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
