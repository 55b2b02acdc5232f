"""``python -m lockstep index``: write reports/index.html, all problems on one page, with links to their reports.

It leads to the page of 'plots', too, where that is there.
Where 'watch' has recorded batches of a problem, they are drawn over time on a page beside it.
"""

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lockstep.commands import add_params, command_parser
from lockstep.commands.pipeline.results import results_of
from lockstep.deployment.watching.history_page import history_page, summary
from lockstep.deployment.watching.record import read_batches
from lockstep.intake.problems.problem_files import watch_record_of
from lockstep.kernel.files import Outputs
from lockstep.kernel.settings import NO_PROBLEM, Problem, Settings, Task, read_problems
from lockstep.learning.metrics import qualified
from lockstep.learning.model_file import ModelFile
from lockstep.steps.reporting.metric_titles import TITLES, headline
from lockstep.steps.reporting.page import index_page
from lockstep.steps.reporting.result import ShownMetric
from lockstep.steps.reporting.sources import ReportSettings
from lockstep.steps.reporting.wording import visible

REPORTS = Path("reports")
PLOTS = REPORTS / "plots.html"
"""The page that ``plots`` writes."""


def batches_page(problem: str) -> Path:
    """The page of a problem's record of batches; no problem's report is called so."""
    return REPORTS / f"{problem}.watch.html"


class TaskOnly(Settings, frozen=True):
    """The one key of ``load`` that decides which metrics there are."""

    task: Task


class IndexEntry(NamedTuple):
    """A problem. ``figures`` is empty where it has not been built; then there is no report either. ``watched`` is what
    its record of batches comes to; "" without one.
    """

    problem: str
    title: str
    task: str
    model: str
    test_rows: int
    figures: list[ShownMetric]
    watched: str = ""


def entry_of(problem: Problem) -> IndexEntry:
    """The headline figures of a problem, from its metrics files. Raises DataError where one is damaged."""
    settings, task = problem.section("report", ReportSettings), problem.pick("load", TaskOnly).task
    title, model = visible(settings.title or problem.name, 120), problem.pick("train", ModelFile).model
    if not (REPORTS / f"{problem.name}.html").exists():
        return IndexEntry(problem.name, title, task, model, 0, [])
    results = results_of(problem.name)
    accuracy = results.metrics.get("accuracy")
    figures = []
    for key in headline(task, accuracy and accuracy.baseline, results.metrics):
        name, found = qualified(key, results.average, results.unit, TITLES[key]), results.metrics[key]
        figures.append(
            ShownMetric(key, name, found.test, None, None, found.baseline, found.folds_mean, found.folds_std)
        )
    return IndexEntry(problem.name, title, task, model, results.test_rows, figures)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and say where it is. Raises LockstepError."""
    parser = command_parser("index", __doc__)
    add_params(parser)
    parser.add_argument("--open", action="store_true", help="open it in the browser, where there is a display")
    args = parser.parse_args(argv)
    problems = read_problems(args.params)
    if not problems:
        print(f"{args.params} has {NO_PROBLEM}")
        return 0
    records = {name: record for name in problems if (record := read_batches(watch_record_of(name)))}
    entries = [
        entry_of(Problem(args.params, name, problems))._replace(
            watched=summary(records[name]) if name in records else ""
        )
        for name in problems
    ]
    path = REPORTS / "index.html"
    with Outputs() as outputs:
        outputs.text(path, index_page(entries, plots=PLOTS.name if PLOTS.exists() else ""))
        for name, record in records.items():
            outputs.text(batches_page(name), history_page(name, record))
    print(path)
    for entry in entries:
        page = REPORTS / f"{entry.problem}.html"
        print(page if entry.figures else f"{page} (not built: dvc repro report@{entry.problem})")
        if entry.watched:
            print(batches_page(entry.problem))
    if args.open:
        open_page(path)
    return 0


def open_page(path: Path) -> None:
    """Open a page in the browser, where there is a display."""
    if sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        webbrowser.open(path.resolve().as_uri())
