"""Write the report of a problem, its model card, and one picture, from what the stages before have written.

Reads   the profile of the data, the checks, the metrics, the folds' means, the hyperparameters that the search chose,
        the small tables for plots, the sidecar of the model, the diagnosis
Writes  one HTML page that needs no other file, the model card (Hugging Face's format), and an SVG

It computes nothing: a change of a template or of a sentence costs the seconds that the pictures take.

    python -m stages.report --problem iris --profile metrics/iris_profile.json --checks metrics/iris_checks.json \\
        --metrics metrics/iris.json --cross-validation metrics/iris_cross_validation.json \\
        --best-trial metrics/iris_tune.json --plots metrics/plots/iris --models models/iris \\
        --diagnosis data/diagnosis/iris.json --report reports/iris.html --picture reports/iris.svg \\
        --card models/iris/README.md
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.files import Outputs, read_made
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import check_inputs, run_stage, stage_parser
from lockstep.learning.model_file import ModelFile, model_file_name, sidecar_of
from lockstep.learning.search_result import read_best_trial
from lockstep.steps.diagnosing.diagnosis import read_diagnosis
from lockstep.steps.reporting.facts import facts_of
from lockstep.steps.reporting.page import TEMPLATES, model_card, picture_file, report_page
from lockstep.steps.reporting.pictures import pictures_of
from lockstep.steps.reporting.sources import (
    Checks,
    Profile,
    ReportSettings,
    Sidecar,
    Sources,
    plot_files,
    read_plot_tables,
)


def gather(problem: Problem, args: argparse.Namespace) -> Sources:
    """Everything that the report is made from.

    Raises:
        DataError: a file is missing.
        IntegrityError: one is not what a stage wrote.
    """
    name = problem.pick("train", ModelFile)
    model = args.models / model_file_name(name.model, name.kind, name.version)
    check_inputs(sidecar_of(model), *plot_files(args.plots).values(), *TEMPLATES.iterdir())
    sidecar = read_made(sidecar_of(model), Sidecar)
    return Sources(
        problem=problem.name,
        settings=problem.section("report", ReportSettings),
        model=name,
        model_path=model.as_posix(),
        sidecar=sidecar,
        best_trial=read_best_trial(args.best_trial),
        profile=read_made(args.profile, Profile),
        checks=read_made(args.checks, Checks),
        metrics=read_made(args.metrics, dict[str, float | str]),
        cross_validation=read_made(args.cross_validation, dict[str, float | str]),
        plots=read_plot_tables(args.plots, sidecar.task),
        diagnosis=read_diagnosis(args.diagnosis),
    )


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    facts = facts_of(gather(problem, args))
    with heartbeat("pictures and page"):
        pictures = pictures_of(facts)
        page = report_page(facts, pictures)
    logger.info("%s", " ".join(facts.result.sentences))
    for path, text in (
        (args.report, page),
        (args.card, model_card(facts)),
        (args.picture, picture_file(facts, pictures)),
    ):
        outputs.text(path, text)
    logger.info("wrote %s, %.0f kB, %d pictures", args.report, len(page.encode()) / 1000, len(pictures))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("report", __doc__)
    parser.add_argument("--profile", type=Path, required=True, metavar="JSON", help="the data profile")
    parser.add_argument("--checks", type=Path, required=True, metavar="JSON", help="what the data checks found")
    parser.add_argument("--metrics", type=Path, required=True, metavar="JSON", help="the metrics")
    parser.add_argument("--cross-validation", type=Path, required=True, metavar="JSON", help="the folds' means")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="what the search chose")
    parser.add_argument("--plots", type=Path, required=True, metavar="FOLDER", help="the folder of the plots' tables")
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="the folder of the model")
    parser.add_argument("--diagnosis", type=Path, required=True, metavar="JSON", help="the diagnosis")
    parser.add_argument("--report", type=Path, required=True, metavar="HTML", help="write the report here")
    parser.add_argument("--picture", type=Path, required=True, metavar="SVG", help="write its one picture here")
    parser.add_argument("--card", type=Path, required=True, metavar="MD", help="write the model card here")
    return run_stage("report", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
