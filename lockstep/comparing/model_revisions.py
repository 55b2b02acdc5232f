"""Compares the models of two revisions, problem by problem: what they recorded, the verdict, what differs in how they
were made."""

from lockstep.comparing.model_verdicts import ModelComparison, NotEvaluated, RowsComparison, compare_models
from lockstep.comparing.recorded_evaluations import (
    OutdatedStage,
    count_evaluated_models,
    has_altered_metrics,
    outdated_stages,
    read_evaluation,
    was_evaluated,
)
from lockstep.comparing.run_changes import RunChanges, find_changes
from lockstep.comparing.verdicts import ALPHA, BETTER, WORSE, NotComparable
from lockstep.kernel.errors import LockstepError
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.repository.dvc import Repository
from lockstep.repository.evaluated_models import corrected
from lockstep.repository.revisions import Revision, RevisionName, opened

import msgspec


class EvaluatedModels(msgspec.Struct, frozen=True):
    """The models that the test rows of the second revision have evaluated.

    Attributes:
        count: at least so many.
        p_corrected: by metric that is better, ``p_holm`` corrected for their number.
    """

    count: int
    p_corrected: dict[str, float]


class ProblemComparison(ModelComparison, frozen=True, kw_only=True):
    """One problem that both revisions evaluated.

    Attributes:
        changes: what differs between the runs.
        outdated: stages that the workspace has changed since, where it is one of the two.
        altered: the revisions, as messages show them, whose metrics file is not the one that was written.
        evaluated_models: None where the test rows have not evaluated one of the two models.
    """

    changes: RunChanges
    outdated: tuple[OutdatedStage, ...]
    altered: tuple[str, ...]
    evaluated_models: EvaluatedModels | None


class Absent(NotComparable, frozen=True, tag="absent"):
    """These revisions do not have the problem."""

    revisions: tuple[str, ...]


class NotRun(NotComparable, frozen=True, tag="not run"):
    """These revisions have not run the evaluation."""

    revisions: tuple[str, ...]


class Failed(NotComparable, frozen=True, tag="error"):
    """The comparison of this problem failed: the error's message, which can have any character, and exit code."""

    message: str
    exit_code: int


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The models of two revisions, by problem; ``alpha`` is the error rate of the verdicts."""

    alpha: float
    before: RevisionName
    after: RevisionName
    problems: dict[str, ProblemComparison | NotComparable]

    @property
    def has_worse(self) -> bool:
        """Whether any metric of any problem is worse."""
        rows = [problem.test_rows for problem in self.problems.values() if isinstance(problem, ProblemComparison)]
        return any(item.verdict == WORSE for part in rows if isinstance(part, RowsComparison) for item in part.metrics)


def compare_model_revisions(rev_a: str, rev_b: str, problem: str | None = None) -> Comparison:
    """Compare the models of two revisions.

    Args:
        rev_a: before: a commit, branch, tag, experiment, or "workspace".
        rev_b: after.
        problem: this one alone; None for all.

    Raises:
        SettingsError: no such revision or problem.
        DataError: the predictions of the one problem asked for are not in the workspace.
        IntegrityError: they are not in DVC's cache, or not what was written. (Of several problems the others are
            compared, and this one is Failed.)
        MachineError: no DVC or git repository, or a file that cannot be read.
    """
    with opened(rev_a, rev_b, problem) as (repo, revisions, names):
        problems: dict[str, ProblemComparison | NotComparable] = {}
        history = CodeHistory(repo)
        for name in names:
            try:
                problems[name] = compare_problem(repo, history, *revisions, name)
            except LockstepError as error:
                if problem is not None:
                    raise
                problems[name] = Failed(str(error).rstrip("."), error.exit_code)
    before, after = revisions
    return Comparison(alpha=ALPHA, before=before.named, after=after.named, problems=problems)


def compare_problem(
    repo: Repository, history: CodeHistory, before: Revision, after: Revision, name: str
) -> ProblemComparison | NotComparable:
    """Compare the models of a problem; raises DataError and IntegrityError as compare_model_revisions."""
    revisions = before, after
    if absent := tuple(revision.shown for revision in revisions if name not in revision.problems):
        return Absent(absent)
    if not_run := tuple(revision.shown for revision in revisions if not was_evaluated(revision, name)):
        return NotRun(not_run)
    sides = [read_evaluation(repo, history, revision, name) for revision in revisions]
    models = compare_models(*sides)
    workspace = [revision for revision in revisions if revision.commit is None]
    return ProblemComparison(
        verdict=models.verdict,
        test_rows=models.test_rows,
        cross_validation=models.cross_validation,
        changes=find_changes(before.stages, after.stages, name, [side.found for side in sides], history),
        outdated=outdated_stages(repo, workspace[0], name) if workspace else (),
        altered=tuple(revision.shown for revision in revisions if has_altered_metrics(repo, revision, name)),
        evaluated_models=_evaluated_models(count_evaluated_models(repo, after, name), models),
    )


def _evaluated_models(count: int, models: ModelComparison) -> EvaluatedModels | None:
    if isinstance(models.test_rows, NotEvaluated):
        return None
    metrics = models.test_rows.metrics if isinstance(models.test_rows, RowsComparison) else ()
    better = {item.metric: item.p_holm for item in metrics if item.verdict == BETTER and item.p_holm is not None}
    return EvaluatedModels(count, {name: corrected(p, count) for name, p in better.items()})
