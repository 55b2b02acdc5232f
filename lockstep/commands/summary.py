"""``python -m lockstep summary``: what the last run gave, one block per problem, and what to type next."""

import os
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import add_params, command_parser
from lockstep.commands.results import results_of
from lockstep.comparing.rendering import console_of, metric_value
from lockstep.kernel.settings import Problem, read_problems
from lockstep.learning.model_file import ModelFile, model_file_name

from rich import box
from rich.table import Table as Grid

ACTIVATE = "  source .venv/bin/activate                  once per terminal: dvc and python are then this repository's"
NEXT = """\
  dvc repro                                  nothing to do now: nothing changed
  dvc exp run -S problems.iris.train.hyperparameters.n_estimators=300
  dvc metrics diff                           what that changed, against the last commit
  python -m lockstep compare                 whether that is better, or noise
  dvc plots show                             pictures: dvc_plots/index.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Raises DataError where a problem has not been run."""
    parser = command_parser("summary", __doc__)
    add_params(parser)
    args = parser.parse_args(argv)
    console = console_of(140)
    for name in read_problems(args.params):
        model, grid = _problem(name, Problem(args.params, name).pick("train", ModelFile))
        console.print(f"{name}: {model}", soft_wrap=True)
        console.print(grid)
    console.print("Next:", *([] if "VIRTUAL_ENV" in os.environ else [ACTIVATE]), NEXT, sep="\n", soft_wrap=True)
    return 0


def _problem(name: str, train: ModelFile) -> tuple[str, Grid]:
    """The model's file, and the table of the metrics that have a baseline."""
    grid = Grid(box=box.SIMPLE_HEAD)
    grid.add_column("metric", no_wrap=True, overflow="fold")
    for title in ("test", "95% interval", "baseline", "cross-validation"):
        grid.add_column(title, justify="right", no_wrap=True)
    for metric, found in results_of(name).metrics.items():
        if found.baseline is not None:
            interval = _shown(found.interval, " \N{HORIZONTAL ELLIPSIS} ")
            folds = _shown((found.folds_mean, found.folds_std), " \N{PLUS-MINUS SIGN} ")
            grid.add_row(metric, metric_value(found.test), interval, metric_value(found.baseline), folds)
    model = Path(f"models/{name}/{model_file_name(train.model, train.kind, train.version)}")
    return str(model) if model.exists() else f"{model} (not built: dvc repro)", grid


def _shown(pair: tuple[float | None, float | None] | None, between: str) -> str:
    return between.join(metric_value(value) for value in pair or () if value is not None)
