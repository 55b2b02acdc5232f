"""Split a problem's table into training, validation and test rows.

Reads   the typed table, and the data profile, which says of which file it is; what split.kept names; and of
        preprocess which columns are free text
Writes  three tables of the same columns: train, validation (of no rows unless validation_size is set) and test; and
        what the checks of the data found

    python -m stages.split --problem iris --table data/loaded/iris.parquet --profile metrics/iris_profile.json \\
        --train data/split/iris/train.parquet --validation data/split/iris/validation.parquet \\
        --test data/split/iris/test.parquet --checks metrics/iris_checks.json
"""

import argparse
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.errors import DataError, some
from lockstep.kernel.files import Outputs, read_made
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import beside, run_stage, stage_parser
from lockstep.steps.splitting.data_checks import CheckSettings, DataFinding, FreeText, run_checks
from lockstep.steps.splitting.parts import Parts, SplitSettings, split_table
from lockstep.tables.table import class_counts, read_table, write_table

import msgspec


class _File(msgspec.Struct):
    md5: str


class _Profile(msgspec.Struct):
    """What is read of the data profile: which raw file the table is of."""

    file: _File


def log_parts(parts: Parts) -> None:
    """Log how many rows each part has, and of classes how many of each."""
    for name, table in zip(Parts._fields, parts, strict=True):
        if len(table):
            classes = f", classes: {some([f'{k} {v}' for k, v in class_counts(table.labels).items()], 20)}"
            logger.info("%s: %d rows%s", name, len(table), classes if table.task == "classification" else "")
    if parts.train.task == "classification":
        unseen = sorted(set(class_counts(parts.test.labels)) - set(class_counts(parts.train.labels)))
        if unseen:
            logger.warning("the test rows have classes that no training row has: %s", some(unseen))


def check_parts(parts: Parts, settings: CheckSettings, text_columns: Collection[str] = ()) -> list[DataFinding]:
    """Check the data before anything is trained, and log what was found; ``text_columns``: see run_checks.

    Raises:
        DataError: a finding of a check that the settings make an error.
    """
    with heartbeat(f"checks of {len(parts.train)} training and {len(parts.test)} test rows"):
        findings = run_checks(parts.train, parts.test, settings, text_columns)
    for finding in findings:
        if finding.found and finding.severity == "warning":
            logger.warning("%s %s: %s (docs/checks.md)", finding.code, finding.check, finding.message)
    errors = [finding for finding in findings if finding.found and finding.severity == "error"]
    if errors:
        raise DataError(
            "; ".join(f"{finding.code} {finding.check}: {finding.message}" for finding in errors)
            + ". docs/checks.md says what to do; split.checks makes an error a warning."
        )
    return findings


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("split", SplitSettings)
    text_columns = problem.pick("preprocess", FreeText).text_columns
    md5 = read_made(args.profile, _Profile).file.md5
    with heartbeat("reading and cutting of the table"):
        parts = split_table(read_table(args.table), settings, md5)
    log_parts(parts)

    def write() -> None:
        for path, table in zip((args.train, args.validation, args.test), parts, strict=True):
            outputs.write(path, partial(write_table, table))

    with beside(write):
        findings = check_parts(parts, settings.checks, text_columns)
    outputs.json(args.checks, {"checks": [finding._asdict() for finding in findings]})


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("split", __doc__)
    parser.add_argument("--table", type=Path, required=True, metavar="PARQUET", help="the typed table to split")
    parser.add_argument("--profile", type=Path, required=True, metavar="JSON", help="the data profile")
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="write the training rows here")
    parser.add_argument(
        "--validation", type=Path, required=True, metavar="PARQUET", help="write the validation rows here"
    )
    parser.add_argument("--checks", type=Path, required=True, metavar="JSON", help="write the data checks here")
    parser.add_argument("--test", type=Path, required=True, metavar="PARQUET", help="write the test rows here")
    return run_stage("split", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
