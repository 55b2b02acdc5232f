"""``python -m lockstep summary``: what the last run gave, one block per problem, and what to type next."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table as Grid

from lockstep.errors import DataError
from lockstep.naming import ModelFile, model_file_name
from lockstep.settings import Problem, read_problems

ACTIVATE = "  source .venv/bin/activate                  once per terminal: dvc and python are then this repository's"
NEXT = """\
  dvc repro                                  nothing to do now: nothing changed
  dvc exp run -S problems.iris.train.hyperparameters.n_estimators=300
  dvc metrics diff                           what that changed, against the last commit
  dvc plots show                             pictures: dvc_plots/index.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Raises DataError where a problem has not been run."""
    parser = argparse.ArgumentParser(prog="python -m lockstep summary", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: %(default)s")
    args = parser.parse_args(argv)
    grid = Grid(box=box.SIMPLE_HEAD)
    for title in ("problem", "model", "metric"):
        grid.add_column(title, no_wrap=True, overflow="fold")
    for title in ("test", "baseline", "cross-validation"):
        grid.add_column(title, justify="right", no_wrap=True)
    for name in read_problems(args.params):
        _add_problem(grid, name, Problem(args.params, name).pick("train", ModelFile))
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    console.print(grid)
    console.print("Next:", *([] if "VIRTUAL_ENV" in os.environ else [ACTIVATE]), NEXT, sep="\n", soft_wrap=True)
    return 0


def _add_problem(grid: Grid, name: str, train: ModelFile) -> None:
    metrics, folds = _read(Path(f"metrics/{name}.json")), _read(Path(f"metrics/{name}_cross_validation.json"))
    model = Path(f"models/{name}/{model_file_name(train.model, train.kind, train.version)}")
    path = str(model) if model.exists() else f"{model} (not built: dvc repro)"
    for metric in [key.removeprefix("baseline_") for key in metrics if key.startswith("baseline_")]:
        spread = f"{_short(folds[f'{metric}_mean'])} \N{PLUS-MINUS SIGN} {_short(folds[f'{metric}_std'])}"
        grid.add_row(name, path, metric, _short(metrics[metric]), _short(metrics[f"baseline_{metric}"]), spread)
        name = path = ""
    grid.add_section()


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}" if abs(value) >= 1e6 else f"{value:,.0f}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except ValueError as error:
        raise DataError(f"{path} is not a metrics file ({error}). Run 'dvc repro' to remake it.") from None
    return content
