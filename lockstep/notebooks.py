"""What a notebook shows: comparisons, leaderboards and reports, from Python.

Each is what the command of the same kind finds, as the same object, which Jupyter shows as tables
(``_repr_html_``). ``examples/notebook.ipynb`` uses them all.
"""

from html import escape
from pathlib import Path
from typing import NamedTuple

from lockstep.api import PipelineResult, Sections
from lockstep.comparing import model_words
from lockstep.comparing.leaderboard import words as leaderboard_words
from lockstep.comparing.leaderboard.ranking import Leaderboards, find_leaderboards
from lockstep.comparing.model_revisions import Comparison, ProblemComparison, compare_model_revisions
from lockstep.comparing.model_verdicts import compare_models
from lockstep.comparing.rendering import html, visible
from lockstep.comparing.run_changes import RunChanges, ValueChange
from lockstep.comparing.verdicts import ALPHA
from lockstep.kernel.errors import DataError
from lockstep.kernel.lock_file import ABSENT
from lockstep.provenance.changes import differing
from lockstep.repository.revisions import WORKSPACE, RevisionName

import msgspec


class ShownComparison(Comparison, frozen=True, kw_only=True):
    """A Comparison that a notebook shows as tables."""

    def _repr_html_(self) -> str:
        return html(model_words.report(self, visible))


class ShownLeaderboards(Leaderboards, frozen=True, kw_only=True):
    """Leaderboards that a notebook shows as tables."""

    def _repr_html_(self) -> str:
        return html(leaderboard_words.report(self, visible))


class ShownReport(NamedTuple):
    """The report of a problem, which a notebook shows in a frame of its own."""

    path: Path

    def _repr_html_(self) -> str:
        page = escape(self.path.read_text(encoding="utf-8"))
        # Its styles end at the frame, and no script of it would run.
        return f'<iframe sandbox srcdoc="{page}" width="100%" height="700" style="border: 1px solid #8888"></iframe>'


def compare_results(before: PipelineResult, after: PipelineResult) -> ShownComparison:
    """Compare two models of ``run_pipeline`` as ``python -m lockstep compare`` does: is the second one better, or is it
    noise?"""
    sides = before.evaluated, after.evaluated
    found = compare_models(*sides)
    problem = ProblemComparison(
        verdict=found.verdict,
        test_rows=found.test_rows,
        cross_validation=found.cross_validation,
        changes=RunChanges(
            parameters=_changes(before.settings, after.settings), libraries=(), data=(), code=(), hyperparameters=()
        ),
        outdated=(),
        altered=(),
        evaluated_models=None,
    )
    names = [RevisionName(side.shown, None, side.shown) for side in sides]
    return ShownComparison(alpha=ALPHA, before=names[0], after=names[1], problems={after.evaluated.target: problem})


def _changes(before: Sections, after: Sections) -> tuple[ValueChange, ...]:
    """The settings that differ, but for the name of the data's file."""
    old, new = ({name: msgspec.to_builtins(one) for name, one in side._asdict().items()} for side in (before, after))
    return tuple(
        ValueChange(key, *(None if value is ABSENT else value for value in values))
        for section in new
        for key, *values in differing(section, old[section], new[section])
    )


def compare_revisions(before: str = "HEAD", after: str = WORKSPACE, problem: str | None = None) -> ShownComparison:
    """Compare the models of two commits, branches, tags or experiments; see compare_model_revisions, also for what it
    raises."""
    return ShownComparison(**msgspec.structs.asdict(compare_model_revisions(before, after, problem)))


def leaderboards(problem: str | None = None, metric: str | None = None) -> ShownLeaderboards:
    """Rank all recorded models of a problem, or of each; see find_leaderboards, also for what it raises."""
    return ShownLeaderboards(**msgspec.structs.asdict(find_leaderboards(problem, metric)))


def report(problem: str) -> ShownReport:
    """The report of a problem, as ``dvc repro`` wrote it. Raises DataError where there is none."""
    path = Path("reports", f"{problem}.html")
    if not path.is_file():
        raise DataError(f"{path} is not built yet. Run 'dvc repro report@{problem}', which makes it.")
    return ShownReport(path)
