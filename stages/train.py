"""Fit the estimator on the encoded training rows; calibrate it and choose its threshold on out-of-fold predictions.

Reads   the encoded training rows, the fitted preprocessor, the raw validation rows, the best trial of the search for
        hyperparameters, and the out-of-fold predictions of the training rows
Writes  the model, preprocessing and estimator in one, with its sidecar, and the training history

    python -m stages.train --problem iris --processed data/processed/iris/train.parquet \\
        --preprocessor models/iris/preprocessor.joblib --validation data/split/iris/validation.parquet \\
        --best-trial metrics/iris_tune.json --out-of-fold data/out_of_fold/iris.parquet \\
        --models models/iris --history metrics/plots/iris/history.csv
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.deciding.decide import decide
from lockstep.deciding.decision import Decision
from lockstep.deciding.out_of_fold import read_out_of_fold
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import add_used_code, run_stage, stage_parser
from lockstep.learning.cross_validation import inner_folds
from lockstep.learning.estimators import (
    EncodedRows,
    TrainSettings,
    build_estimator,
    check_classes,
    fit_estimator,
    members_of,
    with_best_trial,
)
from lockstep.learning.model_file import model_file_name
from lockstep.learning.model_types import CUSTOM, ModelType, model_type
from lockstep.learning.own_code import sha256_of
from lockstep.learning.own_estimators import parse_name, untracked_library
from lockstep.learning.preprocessing import Preprocessor, categories_of
from lockstep.learning.search_result import read_best_trial
from lockstep.learning.voting import Tally, read_voting, tally_of
from lockstep.saving.joblib_file import load_joblib, write_model
from lockstep.saving.sidecar import MODEL_LIBRARIES, read_about
from lockstep.steps.training.history import HISTORY_COLUMNS, HistoryRow, Part, history_of
from lockstep.tables.table import Table, read_table

import msgspec
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline


class Trained(NamedTuple):
    """A fitted model that takes raw rows, and its training history (rows of HISTORY_COLUMNS)."""

    model: Pipeline
    history: list[HistoryRow]


def train(processed: Table, preprocessor: Preprocessor, validation: Table, settings: TrainSettings) -> Trained:
    """Fit the estimator that the settings describe on encoded rows.

    Args:
        processed: the encoded training rows, (n_rows, n_encoded) float64 features.
        preprocessor: fitted on the raw training rows.
        validation: raw rows that the training history also looks at; may have no rows. They change nothing in the
            model.

    Raises:
        SettingsError: see build_estimator and fit_estimator.
    """
    estimator = build_estimator(settings, processed.task)
    check_classes(processed, "the training rows")
    if settings.model == CUSTOM and (pinned := untracked_library(settings.estimator)):
        logger.warning(
            "DVC does not see when the version of that library changes: %s:%s in train.estimator has it tracked",
            pinned, parse_name(settings.estimator).name,
        )  # fmt: skip
    given = settings.hyperparameters or "its defaults"
    logger.info(
        "%s, seed %d, class weight %s, %s",
        settings.estimator or settings.model,
        settings.seed,
        settings.class_weight,
        given,
    )
    y, task, weights = processed.labels, processed.task, processed.weights
    folds = inner_folds(processed, settings)
    encoded = processed.features.copy(deep=False)
    del processed  # of which, if nobody else has it, each column is let go of as soon as it is in X
    X = _numbers(encoded, model_type(settings.model))
    with heartbeat(f"fit on {len(y)} rows of {X.shape[1]} features"):
        fit_estimator(estimator, EncodedRows(X, y, categories_of(preprocessor), weights, folds), settings, -1)
    if (tally := tally_of(estimator)) and read_voting(settings.hyperparameters, "train.hyperparameters").folds:
        _log_tally(tally)
    parts = {"train": Part(X, y, weights)}
    if len(validation):
        encoded = preprocessor.transform(validation.features)
        parts["validation"] = Part(encoded, validation.labels, validation.weights)
    with heartbeat("training history"):
        history = history_of(estimator, parts, task)
    logger.info(
        "loss: %s", ", ".join(f"{part} {loss:.6g}" for part, loss in {row[1]: row[2] for row in history}.items())
    )
    steps = preprocessor.steps if isinstance(preprocessor, Pipeline) else [("preprocess", preprocessor)]
    return Trained(Pipeline([*steps, ("model", estimator)]), history)


def _numbers(encoded: pd.DataFrame, kind: ModelType) -> np.ndarray:
    """(n_rows, n_encoded) numbers, one row after another in memory, as most estimators read them, or one column after
    another; taken out of ``encoded`` column by column."""
    X = np.empty(encoded.shape, dtype=kind.precision, order="F" if kind.by_columns else "C")
    for place, name in enumerate(map(str, list(encoded))):
        X[:, place] = encoded.pop(name)
    return X


def _log_tally(tally: Tally) -> None:
    if tally.loss is None:
        logger.warning("too few rows to choose the members' weights by: all weigh the same")
        return
    logger.info(
        "%s on %d out-of-fold predictions: %.6g of the mean; %s", tally.metric, tally.rows, tally.loss,
        ", ".join(f"{one.member} {one.loss:.6g} (weight {one.weight:.3g})" for one in tally.members),
    )  # fmt: skip


def describe(
    about: Mapping[str, Any], settings: TrainSettings, decision: Decision, tally: Tally | None = None
) -> dict[str, Any]:
    """Describe the model for its sidecar: ``about``, which the preprocessor's says, the section ``train``, what was
    decided, of a vote what its weights were chosen by, and the code of an estimator of the user's; the version stands
    in the file's name."""
    own = {key: value for key, value in msgspec.structs.asdict(settings).items() if key != "version"}
    own["costs"] = msgspec.to_builtins(settings.costs)
    path = parse_name(settings.estimator).path if settings.model == CUSTOM else ""
    code = {**about.get("code", {}), **({path: sha256_of(path)} if path else {})}
    sections = {**about["settings"], "train": own}
    described = {**about, "settings": sections, "decision": msgspec.to_builtins(decision)}
    described |= {} if tally is None else {"vote": msgspec.to_builtins(tally)}
    return described | ({"code": code} if code else {})


def libraries_of(settings: TrainSettings) -> list[str]:
    """The libraries whose versions the sidecar states."""
    if settings.model == CUSTOM:
        own = {parse_name(settings.estimator).library}
    else:
        own = {model_type(member.model).library for member in members_of(settings)}
    return sorted({*MODEL_LIBRARIES, *(name.replace("sklearn", "scikit-learn") for name in own)} - {""})


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = with_best_trial(problem.section("train", TrainSettings), read_best_trial(args.best_trial))
    preprocessor, validation = load_joblib(args.preprocessor), read_table(args.validation)
    trained = train(read_table(args.processed), preprocessor, validation, settings)  # which lets go of the encoded rows
    model, decision = decide(trained.model, read_out_of_fold(args.out_of_fold), settings, validation.positive)
    about = describe(read_about(args.preprocessor), settings, decision, tally_of(trained.model[-1]))
    path = args.models / model_file_name(settings.model, settings.kind, settings.version)
    write_model(outputs, path, model, about, libraries_of(settings))
    outputs.csv(args.history, HISTORY_COLUMNS, trained.history)


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("train", __doc__)
    parser.add_argument("--processed", type=Path, required=True, metavar="PARQUET", help="the encoded training rows")
    parser.add_argument("--preprocessor", type=Path, required=True, metavar="JOBLIB", help="the fitted preprocessor")
    parser.add_argument("--validation", type=Path, required=True, metavar="PARQUET", help="the raw validation rows")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="what the search found")
    parser.add_argument("--out-of-fold", type=Path, required=True, metavar="PARQUET", help="their predictions")
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="write the model into this folder")
    parser.add_argument("--history", type=Path, required=True, metavar="CSV", help="write the training history here")
    add_used_code(parser, "estimators")
    return run_stage("train", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
