"""Fit the preprocessor on the training rows, and encode them.

Reads   the raw training rows, and the code of the user's own features
Writes  the fitted preprocessor and its sidecar, and the encoded training rows as parquet

    python -m stages.preprocess --problem iris --train data/split/iris/train.parquet \\
        --features features/iris.py --preprocessor models/iris/preprocessor.joblib \\
        --processed data/processed/iris/train.parquet
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import run_stage, stage_parser
from lockstep.learning.model_types import ModelName
from lockstep.learning.own_code import sha256_of
from lockstep.learning.own_features import OwnFeatures, read_features
from lockstep.learning.preprocessing import Preprocessor, PreprocessSettings, encoder_of, fit_preprocessor
from lockstep.saving.joblib_file import write_model
from lockstep.tables.table import Table, column_type, read_hashed_table, write_table

import msgspec


def preprocess(
    train: Table,
    settings: PreprocessSettings,
    model: str,
    features: OwnFeatures | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Preprocessor, Table]:
    """Fit the preprocessor on the training rows, and encode them: (n_rows, n_encoded) float64, the target, the weights
    of the rows, and the columns by which folds are cut. ``overwrite``: see fit_preprocessor."""
    others = [name for name in (train.target, train.weight, train.group, train.time) if name is not None]
    beside = train.frame[others].copy()  # before they may be overwritten
    with heartbeat(f"encoding of {len(train)} rows"):
        preprocessor, encoded = fit_preprocessor(train, settings, model, features=features, overwrite=overwrite)
    if features is not None:
        made = preprocessor[0].types_
        logger.info("%s: %d features of %d columns", features.path, len(made), train.features.shape[1])
    for kind, _, names in encoder_of(preprocessor).transformers_:
        if kind != "remainder":
            logger.info("%s: %d columns", kind, len(names))
    logger.info("%d rows, %d features encoded as %d", len(train), train.features.shape[1], encoded.shape[1])
    encoded[others] = beside
    return preprocessor, replace(train, frame=encoded, time_is_feature=False, levels={}, with_offset=())


def describe(
    train: Table, sha256: str, settings: PreprocessSettings, features: OwnFeatures | None = None
) -> dict[str, Any]:
    """Describe the data and its preparation for the sidecars.

    Args:
        train: the raw training rows.
        sha256: of the parquet file of the same rows, which names them.
        settings: the section ``preprocess``.
        features: the user's own, whose code is named by its SHA-256.
    """
    columns = train.features
    zoned = [name for name in train.with_offset if name in columns]  # the column that orders the rows may be none
    code = {} if features is None else {"code": {features.path: sha256_of(features.path)}}
    return {
        "task": train.task,
        "target": train.target,
        "features": {str(name): column_type(columns[name]) for name in columns},
        **({"times_with_offset": zoned} if zoned else {}),
        "training_rows": {"rows": len(train), "sha256": sha256},
        **code,
        "settings": {"preprocess": msgspec.structs.asdict(settings)},
    }


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("preprocess", PreprocessSettings)
    model = problem.pick("train", ModelName).model
    train, sha256 = read_hashed_table(args.train)
    features = read_features(args.features)
    preprocessor, processed = preprocess(train, settings, model, features, overwrite=True)
    write_model(outputs, args.preprocessor, preprocessor, describe(train, sha256, settings, features))
    with heartbeat(f"writing of {len(processed)} rows"):
        outputs.write(args.processed, lambda path: write_table(processed, path))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("preprocess", __doc__)
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--features", type=Path, metavar="PY", help="the user's own features (default: none)")
    parser.add_argument(
        "--preprocessor", type=Path, required=True, metavar="JOBLIB", help="write the preprocessor here"
    )
    parser.add_argument("--processed", type=Path, required=True, metavar="PARQUET", help="write the encoded rows here")
    return run_stage("preprocess", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
