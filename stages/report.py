"""Write the report of a problem, its model card, and one picture, from what the stages before have written.

Reads   the model and its sidecar, the training, validation and test rows, the profile, the checks, the contract, the
        metrics, the folds, the search's best trial, the predictions, the small tables for plots, and the raw data's
        bytes (for their hash)
Writes  one HTML page that needs no other file, the model card (Hugging Face's format), and an SVG

    python -m stages.report --problem iris --contract data/contracts/iris.yaml \\
        --split data/split/iris --models models/iris --profile metrics/iris_profile.json \\
        --checks metrics/iris_checks.json --metrics metrics/iris.json \\
        --cross-validation metrics/iris_cross_validation.json \\
        --best-trial metrics/iris_tune.json --plots metrics/plots/iris \\
        --predictions data/predictions/iris.parquet --report reports/iris.html --picture reports/iris.svg \\
        --card models/iris/README.md
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.errors import DataError
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem, Settings
from lockstep.kernel.stage import check_inputs, run_stage, stage_parser
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_file import model_file_name, sidecar_of
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.search_result import read_best_trial, with_best_trial
from lockstep.reading.contract import read_contract
from lockstep.reading.source import data_path
from lockstep.reporting.facts import FileFacts, ReportSettings, Sources, facts_of
from lockstep.reporting.page import TEMPLATES, model_card, picture_file, report_page
from lockstep.reporting.pictures import pictures_of
from lockstep.saving.joblib_file import load_model
from lockstep.tables.table import read_table

import pandas as pd


class RawFile(Settings, frozen=True):
    """The one key of ``load`` that a report reads."""

    path: str


def gather(problem: Problem, args: argparse.Namespace) -> Sources:
    """Everything that the report is made from. Raises DataError where a file is missing."""
    raw = data_path(problem.pick("load", RawFile).path)
    split = {part: args.split / f"{part}.parquet" for part in ("train", "validation", "test")}
    plots = {name: args.plots / f"{name}.csv" for name in ("intervals", "folds", "history", "curves", "importance")}
    check_inputs(raw, *split.values(), *plots.values(), *TEMPLATES.iterdir())
    best = read_best_trial(args.best_trial)
    train_settings = with_best_trial(problem.section("train", TrainSettings), best)
    model = args.models / model_file_name(train_settings.model, train_settings.kind, train_settings.version)
    return Sources(
        problem=problem.name,
        settings=problem.section("report", ReportSettings),
        preprocess=problem.section("preprocess", PreprocessSettings),
        train_settings=train_settings,
        searched=sorted(best.hyperparameters) if best else [],
        raw_file=file_facts(raw),
        model_file=file_facts(model),
        contract=read_contract(args.contract),
        profile=_json(args.profile),
        checks=_json(args.checks)["checks"],
        train=read_table(split["train"]),
        validation_rows=len(read_table(split["validation"], only_target=True)),
        test=read_table(split["test"]),
        model=load_model(model),
        metrics=_json(args.metrics),
        cross_validation=_json(args.cross_validation),
        **{name: _csv(path) for name, path in plots.items()},
        predictions=pd.read_parquet(args.predictions),
        versions=_json(sidecar_of(model))["libraries"],
    )


def file_facts(path: Path) -> FileFacts:
    """The size and the hashes of a regular file. Raises DataError if there is none."""
    if not path.is_file():  # a device or a pipe would never end
        raise DataError(f"{path} does not exist, or is no regular file. Run 'dvc repro', which makes it.")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        # DVC names files by their MD5, and so does the page; it guards nothing here.
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        return FileFacts(path.as_posix(), file.tell(), md5, sha256)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None


def _csv(path: Path) -> pd.DataFrame:
    """A small table that a stage wrote. Names of classes and features stay texts: 'NA' and '007' may be such."""
    texts = dict.fromkeys(("curve", "series", "feature", "part", "metric"), "str")
    try:
        return pd.read_csv(
            path,
            dtype=texts,
            keep_default_na=False,
            na_values={name: [""] for name in ("count", "low", "high", "baseline")},
        )
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    sources = gather(problem, args)
    with heartbeat("learning curve, subgroups, dependence"):
        facts = facts_of(sources)
    pictures = pictures_of(facts)
    page = report_page(facts, pictures)
    logger.info("%s", " ".join(facts.result))
    for path, text in (
        (args.report, page),
        (args.card, model_card(facts)),
        (args.picture, picture_file(facts, pictures)),
    ):
        outputs.write(path, partial(Path.write_text, data=text, encoding="utf-8", newline="\n"))
    logger.info("wrote %s, %.0f kB, %d pictures", args.report, len(page.encode()) / 1000, len(pictures))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("report", __doc__)
    parser.add_argument("--contract", type=Path, required=True, metavar="YAML", help="the data contract")
    parser.add_argument("--profile", type=Path, required=True, metavar="JSON", help="the data profile")
    parser.add_argument("--checks", type=Path, required=True, metavar="JSON", help="what the data checks found")
    parser.add_argument("--split", type=Path, required=True, metavar="FOLDER", help="the folder of the split rows")
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="the folder of the model")
    parser.add_argument("--metrics", type=Path, required=True, metavar="JSON", help="the metrics")
    parser.add_argument("--cross-validation", type=Path, required=True, metavar="JSON", help="the folds' means")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="what the search found")
    parser.add_argument("--plots", type=Path, required=True, metavar="FOLDER", help="the folder of the plots' tables")
    parser.add_argument("--predictions", type=Path, required=True, metavar="PARQUET", help="the predictions")
    parser.add_argument("--report", type=Path, required=True, metavar="HTML", help="write the report here")
    parser.add_argument("--picture", type=Path, required=True, metavar="SVG", help="write its one picture here")
    parser.add_argument("--card", type=Path, required=True, metavar="MD", help="write the model card here")
    return run_stage("report", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
