"""Read a problem's data file, check it against its contract, type its columns.

Reads   the raw file that load.path names, and the data contract
Writes  the typed table as parquet, and the data profile as JSON

    python -m stages.load --problem iris --contract data/contracts/iris.yaml --table data/loaded/iris.parquet \\
        --profile metrics/iris_profile.json
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.errors import some
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import beside, check_inputs, input_md5, run_stage, stage_parser
from lockstep.reading.contract import read_contract
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.reading.profile import file_facts, profile_of
from lockstep.reading.source import check_file, data_path
from lockstep.tables.table import Table, class_counts, column_type, write_table

import numpy as np


def log_table(table: Table) -> None:
    """Log shape, column types, missing cells, and the classes or the range of the target. Which columns the model sees
    is for later stages to say: those that rows are split by it may not."""
    kinds = [column_type(table.features[name]) for name in table.features]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("number", "boolean", "date", "text") if kind in kinds)
    missing = int(table.features.isna().sum().sum())
    logger.info("%d rows, %d columns beside the target (%s), %d missing cells", len(table), len(kinds), counts, missing)
    if table.task == "classification":
        classes = class_counts(table.labels)
        shares = [f"{name} {count} ({count / len(table):.1%})" for name, count in classes.items()]
        logger.info("target '%s', %d classes: %s", table.target, len(classes), some(shares, 20))
    else:
        low, middle, high = np.quantile(table.labels, [0, 0.5, 1])
        logger.info("target '%s': %g to %g, median %g", table.target, low, high, middle)


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("load", LoadSettings)
    path = data_path(settings.path)
    check_file(path)
    check_inputs(path)
    contract = read_contract(args.contract)
    with beside(lambda: file_facts(path, input_md5(path))) as facts:
        loaded = load_file(path, settings, contract)
        log_table(loaded.table)
        file = facts()
    described = {field.name: field.description or "" for field in contract.fields}
    units = {field.name: field.lockstep.unit for field in contract.fields}
    about = (loaded.missing_as, settings.drop, file, described, units, loaded.rows_left_out)
    writing = partial(outputs.write, args.table, partial(write_table, loaded.table))
    with heartbeat(f"profile and writing of {len(loaded.table)} rows"), beside(writing):
        profile = profile_of(loaded.table, *about)
    outputs.json(args.profile, profile)


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("load", __doc__)
    parser.add_argument("--contract", type=Path, required=True, metavar="YAML", help="the data contract")
    parser.add_argument("--table", type=Path, required=True, metavar="PARQUET", help="write the table here")
    parser.add_argument("--profile", type=Path, required=True, metavar="JSON", help="write the data profile here")
    return run_stage("load", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
