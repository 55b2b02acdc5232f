"""``python -m lockstep summary``: what the last run gave, one block per problem, and what to type next."""

import csv
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.commands import add_params, command_parser
from lockstep.comparing.rendering import metric_value
from lockstep.kernel.errors import DataError
from lockstep.kernel.settings import Problem, read_problems
from lockstep.learning.model_file import ModelFile, model_file_name

from rich import box
from rich.console import Console
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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    for name in read_problems(args.params):
        model, grid = _problem(name, Problem(args.params, name).pick("train", ModelFile))
        console.print(f"{name}: {model}", soft_wrap=True)
        console.print(grid)
    console.print("Next:", *([] if "VIRTUAL_ENV" in os.environ else [ACTIVATE]), NEXT, sep="\n", soft_wrap=True)
    return 0


def _problem(name: str, train: ModelFile) -> tuple[str, Grid]:
    """The model's file, and the table of the metrics that have a baseline."""
    metrics, folds = _read(Path(f"metrics/{name}.json")), _read(Path(f"metrics/{name}_cross_validation.json"))
    ranges = _intervals(Path(f"metrics/plots/{name}/intervals.csv"))
    grid = Grid(box=box.SIMPLE_HEAD)
    grid.add_column("metric", no_wrap=True, overflow="fold")
    for title in ("test", "95% interval", "baseline", "cross-validation"):
        grid.add_column(title, justify="right", no_wrap=True)
    for metric in [key.removeprefix("baseline_") for key in metrics if key.startswith("baseline_")]:
        test, baseline = metric_value(metrics[metric]), metric_value(metrics[f"baseline_{metric}"])
        mean, spread = (metric_value(folds[f"{metric}_{statistic}"]) for statistic in ("mean", "std"))
        own = ranges.get(metric)
        interval = "" if own is None else f"{metric_value(own[0])} \N{HORIZONTAL ELLIPSIS} {metric_value(own[1])}"
        grid.add_row(metric, test, interval, baseline, f"{mean} \N{PLUS-MINUS SIGN} {spread}")
    model = Path(f"models/{name}/{model_file_name(train.model, train.kind, train.version)}")
    return str(model) if model.exists() else f"{model} (not built: dvc repro)", grid


def _intervals(path: Path) -> dict[str, tuple[float, float] | None]:
    """The 95 % interval of each metric, None where it has none."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            return {
                row["metric"]: (float(row["low"]), float(row["high"])) if row["low"] else None
                for row in csv.DictReader(handle)
            }
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is not a table of intervals ({error!r}). Run 'dvc repro' to remake it.") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except ValueError as error:
        raise DataError(f"{path} is not a metrics file ({error}). Run 'dvc repro' to remake it.") from None
    return content
