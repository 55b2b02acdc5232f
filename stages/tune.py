"""Search for hyperparameters, by cross-validation of the whole pipeline on the raw training rows.

Reads   the raw training rows, and the code of the user's own
Writes  the best trial, which overrides train.hyperparameters, and a table of all trials; both empty with
        tune.trials: 0

    python -m stages.tune --problem iris --train data/split/iris/train.parquet --features features/iris.py \\
        --best-trial metrics/iris_tune.json --trials metrics/plots/iris/trials.csv

Without a search this stage costs a start of Python: whatever a search alone needs is imported where it begins.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.files import Outputs
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import add_used_code, run_stage, stage_parser
from lockstep.learning.search_result import write_best_trial
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.steps.tuning.trials import NO_SEARCH, Search


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("tune", TuneSettings)
    found = tune(problem, args.train, args.features, settings, outputs) if settings.trials else NO_SEARCH
    write_best_trial(outputs, args.best_trial, found.best)
    outputs.csv(args.trials, found.columns, found.trials)


def tune(problem: Problem, path: Path, code: Path | None, settings: TuneSettings, outputs: Outputs) -> Search:
    """Search with the settings of the problem on the raw training rows in the file ``path``, with the user's own
    features in the file ``code``; trials are kept until the ``outputs`` appear. Raises as search and read_features."""
    from lockstep.learning.computing.kept_results import KeptResults
    from lockstep.learning.cross_validation import Averaging, CrossValidateSettings, PipelineSettings
    from lockstep.learning.estimators import TrainSettings
    from lockstep.learning.own_features import read_features
    from lockstep.learning.preprocessing import PreprocessSettings
    from lockstep.steps.tuning.search import search
    from lockstep.tables.table import read_hashed_table

    import msgspec

    cross_validation = problem.section("cross_validate", CrossValidateSettings)
    preprocess = problem.section("preprocess", PreprocessSettings)
    model = problem.section("train", TrainSettings)
    scored = problem.pick("evaluate", Averaging)
    (train, sha256), features = read_hashed_table(path), read_features(code)
    # Not on how many trials there are: more of them go on from those that there were.
    asked = msgspec.structs.replace(settings, trials=0)
    kept = KeptResults(f"tune@{problem.name}", [sha256, code, asked, cross_validation, preprocess, model, scored])
    outputs.afterwards(kept.remove)
    pipeline = PipelineSettings(preprocess, model, features)
    return search(train, settings, cross_validation, pipeline, scored.average, scored.metrics, kept)


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("tune", __doc__)
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--features", type=Path, metavar="PY", help="the user's own features (default: none)")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="write the best trial here")
    parser.add_argument("--trials", type=Path, required=True, metavar="CSV", help="write the table of trials here")
    add_used_code(parser, "estimators", "scorers")
    return run_stage("tune", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
