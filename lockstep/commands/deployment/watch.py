"""``python -m lockstep watch PROBLEM rows.csv [--actual COLUMN]``: are new rows still what the model was trained on?

And is the model still as good on them? The rows are read as by 'predict'. Per column: missing values, unknown levels, a
test for a shift against the training rows; then the predictions, and the share of rows that look like nothing in the
training rows, against the test rows; and, where --actual names the column of the truth, each metric against its value
on the test rows. One line a batch is added to metrics/PROBLEM_watch.csv. docs/watching.md says how to read it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lockstep.commands import GivenModel, add_params, command_parser, given_model, model_of
from lockstep.commands.comparing.two_revisions import add_forms, emit
from lockstep.commands.deployment.predict import rows_file
from lockstep.commands.new_rows import add_sheet
from lockstep.deployment.serving.background import training_rows
from lockstep.deployment.serving.predicting import (
    CONTRACT_TYPES,
    RowScorer,
    blocks_of,
    checked_rows,
    make_scorer,
)
from lockstep.deployment.serving.row_files import FILE_KINDS
from lockstep.deployment.watching.batch import LEAST_ROWS, Batch, Reference, watch_batch
from lockstep.deployment.watching.record import BatchFile, RecordOutcome, record_batch
from lockstep.deployment.watching.words import report
from lockstep.intake.problems.problem_files import watch_record_of
from lockstep.kernel.errors import DataError, SettingsError, plural
from lockstep.kernel.locks import exclusive_command
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.kernel.settings import Problem
from lockstep.learning.own_metrics import make_scorers
from lockstep.learning.scoring import predict, values_of
from lockstep.repository.hashes import digest
from lockstep.steps.evaluating.settings import EvaluateSettings
from lockstep.tables.table import Table, column_type, read_table, with_columns

import numpy as np
import pandas as pd
from msgspec.structs import replace

FINDINGS = ("shifted", "worse")


class Extras(NamedTuple):
    """Columns of the batch that the model does not see; None for those that are not asked for."""

    actual: str | None
    group: str | None
    weight: str | None

    def asked(self) -> list[str]:
        """Their names."""
        return [name for name in self if name is not None]


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is found; the exit code is 1 if ``--fail-if`` names a part of it, else 0."""
    parser = command_parser("watch", __doc__)
    parser.add_argument(
        "problem",
        metavar="PROBLEM",
        help="its name in params.yaml, or NAME#STAGE: what that stage of the registry has (docs/promoting.md)",
    )
    parser.add_argument("rows", help=f"{FILE_KINDS}, or - for CSV from stdin")
    parser.add_argument("--actual", metavar="COLUMN", help="the column of the truth; rows without it have none yet")
    parser.add_argument("--date", type=_date, metavar="WHEN", help="what the rows are of: 2024-01-31; default: today")
    parser.add_argument(
        "--fail-if",
        type=_findings,
        default=(),
        metavar="WHAT",
        help="exit code 1 for: shifted, worse, or shifted,worse",
    )
    add_sheet(parser)
    add_forms(parser)
    add_params(parser)
    args = parser.parse_args(argv)
    if "worse" in args.fail_if and args.actual is None:
        raise SettingsError("--fail-if worse needs the truth: name its column with --actual COLUMN.")
    with _asked(args.problem, args.params) as given:
        params = args.params if given.staged is None else given.root / PARAMS
        problem = Problem(params, str(given.problem))
        settings = problem.section("evaluate", EvaluateSettings)
        scorer = make_scorer(given.path, problem.name, params, contracts=given.root / CONTRACTS)
        reference = _reference(scorer, given, problem.name)
    own = make_scorers(settings.metrics, reference.test.task, weighted=reference.test.weight is not None)
    with rows_file(args, scorer.form.missing) as (path, name):
        sha256 = digest(path if args.rows == "-" else Path(args.rows), "sha256")
        batch = _read_batch(scorer, reference, path, name, args.actual)
    found = watch_batch(reference, batch, settings.average, own)
    record = watch_record_of(problem.name)
    file = BatchFile(args.date or datetime.now().astimezone().date().isoformat(), Path(name).name, sha256)
    with exclusive_command("watch"):
        said = _said(record_batch(record, file, found), record, file)
    if args.json:
        print(said, file=sys.stderr)
    title = problem.name if given.staged is None else given.staged.title
    emit(args, found, lambda quote: report(title, found, said, quote))
    return int(bool(set(args.fail_if) & set(found.found)))


@contextmanager
def _asked(name: str, params: Path) -> Iterator[GivenModel]:
    """The model of a problem in ``params``, or of NAME#STAGE; the latter is gone when the block ends.

    Raises:
        DataError: it is not built.
        SettingsError: there is no such problem; or --params beside a stage.
        LockstepError: as ``given_model``.
    """
    if "#" in name:
        if params != PARAMS:
            raise SettingsError(f"{name} is taken with the settings of its commit: leave --params out.")
        with given_model(name, evaluated=True) as given:
            yield given
        return
    problem = Problem(params, name)
    model = model_of(problem)
    if not model.exists():
        raise DataError(f"{model} does not exist: it is not built yet. Run 'dvc repro evaluate@{name}'.")
    yield GivenModel(model, name)


def _date(text: str) -> str:
    """An ISO 8601 date or time, as it was given."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no date such as 2024-01-31 or 2024-01-31T09:30") from None
    return text


def _findings(text: str) -> tuple[str, ...]:
    found = tuple(word.strip() for word in text.split(","))
    if wrong := [word for word in found if word not in FINDINGS]:
        raise argparse.ArgumentTypeError(f"'{wrong[0]}' is none of {', '.join(FINDINGS)}")
    return found


def _said(recorded: RecordOutcome, record: Path, file: BatchFile) -> str:
    of = f"{file.name} of {file.date}"
    match recorded:
        case "added":
            return f"Recorded: {of}, in {record}."
        case "replaced":
            return f"{record} has {of} already, with another result: its line was replaced."
        case "there already":
            return f"{record} has {of} already, with this result: nothing was added."


def _reference(scorer: RowScorer, given: GivenModel, problem: str) -> Reference:
    """The rows that the model was fitted on and evaluated by, and what it says of the latter.

    Raises:
        DataError: they are not here, or not those of this model.
    """
    model, root = given.path, given.root
    train = training_rows(model, problem, "watch", root)
    file, recorded = root / f"data/split/{problem}/test.parquet", root / f"data/predictions/{problem}.parquet"
    for path in (file, recorded):
        if not path.exists():
            raise DataError(
                f"watch compares with the test rows, but {path} is not here. Run 'dvc checkout {path}', 'dvc pull "
                f"{path}' or 'dvc repro evaluate@{problem}'."
            )
    test = read_table(file)
    predictions = predict(scorer.model, test.features, test.task, test.positive)
    try:
        evaluated = pd.read_parquet(recorded, columns=["row_hash", "predicted"])
    except (OSError, ValueError) as error:
        raise DataError(
            f"{recorded} is not what a stage wrote ({error}). Run 'dvc repro evaluate@{problem}'."
        ) from None
    same_rows = np.array_equal(evaluated["row_hash"].to_numpy(), test.row_hashes.to_numpy())
    if not same_rows or not _agree(values_of(evaluated["predicted"]), predictions.values):
        raise DataError(
            f"{recorded} holds predictions of other rows than {file}, or of another model than {model}. Run 'dvc "
            f"checkout' or 'dvc repro evaluate@{problem}'."
        )
    return Reference(train, test, predictions)


def _agree(recorded: np.ndarray, computed: np.ndarray) -> bool:
    """Whether predictions are the same but for the last digits of another processor."""
    if computed.dtype.kind == "f":
        return bool(np.allclose(recorded, computed, rtol=1e-6))
    return bool(np.mean(recorded == computed) > 0.99)


def _read_batch(scorer: RowScorer, reference: Reference, path: Path, name: str, actual: str | None) -> Batch:
    """The rows of a file with their predictions, and the truth where a column of it is named.

    Raises:
        DataError: as of 'predict'; or the file has too few rows, no such column, or no truth of the target's type.
    """
    train = reference.train
    extras = Extras(actual, train.group, reference.test.weight) if actual is not None else Extras(None, None, None)
    if actual in scorer.types:
        raise DataError(f"--actual {actual} is a column that the model sees, so it cannot be the truth. Name another.")
    asking, known = _asking(scorer, train, extras)
    parts: list[pd.DataFrame] = []
    for block in blocks_of(asking, path, name):
        frame = block.frame
        if actual is not None and actual not in frame:
            raise DataError(
                f"{name} has no column '{actual}', which --actual names. Name the column with the truth of "
                f"'{train.target}', or leave --actual out."
            )
        rows = checked_rows(known, block, name, sum(map(len, parts)))
        parts.append(
            with_columns(rows, {own: frame[own] for own in extras.asked() if own in frame and own not in rows})
        )
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if not len(table):
        raise DataError(f"{name} has no rows below its header. Nothing was recorded.")
    if len(table) < LEAST_ROWS:
        raise DataError(
            f"{name} has {plural(len(table), 'row')}, too few to tell a shift from chance: at least {LEAST_ROWS} are "
            "needed. Wait for more, or put several batches into one file."
        )
    rows = table[list(scorer.types)]
    predictions = predict(scorer.model, rows, train.task, train.positive)
    if actual is None:
        return Batch(rows, predictions)
    known_rows = np.flatnonzero(table[actual].notna())
    if not len(known_rows):
        raise DataError(f"{name} has no value in '{actual}', which --actual names, in any row. Leave --actual out.")
    truth = _truth(table[actual].iloc[known_rows], train, name)
    groups = table[train.group].to_numpy() if train.group in table else None
    return Batch(rows, predictions, known_rows, truth, groups, _weights(table, extras.weight, name))


def _asking(scorer: RowScorer, train: Table, extras: Extras) -> tuple[RowScorer, RowScorer]:
    """The scorer whose rows have the extra columns, too, the truth being written and checked as the target is, but
    for a value that is required; and the one that checks the others."""
    contract, types = scorer.contract, dict(scorer.types)
    declared = {} if contract is None else contract.types
    for own in extras.asked():
        column = train.target if own == extras.actual else own
        kind = column_type(train.frame[column])
        types[own] = declared.get(column, CONTRACT_TYPES.get(kind, kind))
    if contract is not None and extras.actual is not None:
        others = tuple(field for field in contract.fields if field.name not in (extras.actual, train.target))
        targets = (field for field in contract.fields if field.name == train.target)
        renamed = tuple(
            replace(field, name=extras.actual, constraints=replace(field.constraints, required=False, unique=False))
            for field in targets
        )
        contract = replace(contract, fields=(*others, *renamed))
    known = scorer._replace(contract=contract)
    return known._replace(types=types), known


def _truth(column: pd.Series, train: Table, name: str) -> np.ndarray:
    """The targets of the rows, as the training rows have theirs."""
    of = train.frame[train.target]
    if of.dtype.kind in "iu" and (wrong := np.flatnonzero(column % 1 != 0)).size:
        raise DataError(
            f"{name}: '{column.name}' holds {column.iloc[wrong[0]]:g}, but the classes are whole numbers. Correct it."
        )
    return Table(pd.DataFrame({train.target: column.astype(of.dtype)}), train.target, train.task).labels


def _weights(table: pd.DataFrame, weight: str | None, name: str) -> np.ndarray | None:
    if weight is None or weight not in table:
        return None
    weights = table[weight].to_numpy(dtype="float64")
    if not (weights > 0).all():
        raise DataError(f"{name}: the weights in '{weight}' must be numbers above 0 in every row. Correct them.")
    return weights
