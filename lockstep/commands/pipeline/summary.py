"""``python -m lockstep summary [PROBLEM]``: what the last run gave, one block per problem, and what to type next."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.commands import add_params, command_parser, model_of
from lockstep.commands.pipeline.results import Results, changed_settings, other_model, results_of
from lockstep.comparing.rendering import console_of, metric_value, print_wrapped
from lockstep.kernel.errors import DataError, some
from lockstep.kernel.settings import NO_PROBLEM, Problem, check_there, read_problems
from lockstep.learning.metrics import is_lopsided, qualified
from lockstep.steps.reporting.metric_titles import headline
from lockstep.steps.reporting.wording import percent

from rich import box
from rich.table import Table as Grid

ACTIVATE = "  source .venv/bin/activate                  once per terminal"
NEXT = """\
  dvc repro                                  run what changed since
  dvc exp run -S {change}
  dvc metrics diff                           what that changed
  python -m lockstep compare                 whether that is better, or noise
  dvc plots show                             pictures: dvc_plots/index.html"""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. Raises DataError where no problem has been run."""
    parser = command_parser("summary", __doc__)
    parser.add_argument("problems", nargs="*", metavar="PROBLEM", help="default: all of them")
    add_params(parser)
    args = parser.parse_args(argv)
    console = console_of(140)
    problems = read_problems(args.params)
    if not problems:
        print(f"{args.params} has {NO_PROBLEM}")
        return 0
    for name in args.problems:
        check_there(name, problems, args.params)
    problems = {name: problems[name] for name in args.problems or problems}
    run = [name for name in problems if Path(f"metrics/{name}.json").exists()]
    if not run:
        stages = "".join(f" report@{name}" for name in args.problems)
        subject = f"{some(args.problems)} has not been run" if args.problems else "No problem has been run"
        raise DataError(f"{subject}: metrics/ has no results of it. Run 'dvc repro{stages}', which makes them.")
    for name in problems:
        if name not in run:
            console.print(f"{name}: not run yet (dvc repro report@{name})\n", soft_wrap=True, markup=False)
            continue
        results = results_of(name)
        model = model_of(Problem(args.params, name, problems))
        built = "" if model.exists() else f" (not built: dvc repro train@{name})"
        heading = f"{name}: {model}{built}"
        if (other := other_model(name, model.as_posix())) is not None:
            print_wrapped(
                console,
                heading,
                f"Its metrics are not known: those in metrics/ are of {other}, which was evaluated last. 'dvc "
                f"repro report@{name}' evaluates this one.\n",
            )
            continue
        print_wrapped(console, heading, *_changed(name, problems, args.params), *_warnings(results))
        console.print(_table(results))
    what_next = NEXT.format(change=_example(*next(iter(problems.items()))))
    lines = ["Next:", *([] if "VIRTUAL_ENV" in os.environ else [ACTIVATE]), what_next]
    console.print(*lines, sep="\n", soft_wrap=True, markup=False)
    return 0


def _changed(name: str, problems: Mapping[str, Any], params: Path) -> list[str]:
    """That the settings are not those that the metrics are of, where they are not."""
    changed = changed_settings(name, problems)
    if not changed:
        return []
    has = f"{params} has other settings by now ({some(changed)})"
    return [f"These metrics are of the last run, and {has}: 'dvc repro report@{name}' makes those of now."]


def _warnings(results: Results) -> list[str]:
    """What to know before reading the table."""
    accuracy = results.metrics.get("accuracy")
    if accuracy is None or not is_lopsided(accuracy.baseline):
        return []
    instead = " and ".join(headline("classification", accuracy.baseline, results.metrics))
    share = f"Always naming the most frequent class is right in {percent(accuracy.baseline)} of the test rows"
    return [f"{share}: look at {instead} rather than at accuracy."]


def _example(name: str, sections: dict[str, Any]) -> str:
    """A setting of this problem to change: a hyperparameter that it has, else the model type."""
    train = sections["train"]
    for key, value in (train.get("hyperparameters") or {}).items():
        if type(value) in (int, float) and value:
            other = 2 * value if isinstance(value, int) else value / 2
            return f"problems.{name}.train.hyperparameters.{key}={other}"
    other = "extra_trees" if train["model"] != "extra_trees" else "random_forest"  # both can do either task
    return f"problems.{name}.train.model={other}"


def _table(results: Results) -> Grid:
    """The metrics, a row each."""
    grid = Grid(box=box.SIMPLE_HEAD)
    grid.add_column("metric", no_wrap=True, overflow="fold")
    for title in ("test", "95% interval", "baseline", "cross-validation"):
        # On a narrow terminal a pair of numbers takes two lines: a number is never cut.
        whole = title in ("test", "baseline")
        grid.add_column(title, justify="right", no_wrap=whole, min_width=0 if whole else 10, overflow="fold")
    for metric, found in results.metrics.items():
        interval = _shown(found.interval, " \N{HORIZONTAL ELLIPSIS} ")
        folds = _shown((found.folds_mean, found.folds_std), " \N{PLUS-MINUS SIGN} ")
        baseline = "" if found.baseline is None else metric_value(found.baseline)
        name = qualified(metric, results.average, results.unit)
        grid.add_row(name, metric_value(found.test), interval, baseline, folds)
    return grid


def _shown(pair: tuple[float | None, float | None] | None, between: str) -> str:
    return between.join(metric_value(value) for value in pair or () if value is not None)
