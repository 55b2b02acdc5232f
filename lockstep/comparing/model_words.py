"""Writes what ``compare`` finds in words: sentences, a table of the metrics, one of the folds."""

from collections.abc import Iterable, Mapping, Sequence

from lockstep.comparing.fold_verdicts import FoldsComparison, NoFolds, OtherFolds, StaleFolds
from lockstep.comparing.model_revisions import Absent, Comparison, Failed, NotRun, ProblemComparison
from lockstep.comparing.model_verdicts import (
    SAME_PREDICTIONS,
    NotEvaluated,
    RowsComparison,
    RowsMetric,
    TooFewRows,
)
from lockstep.comparing.recorded_evaluations import OutdatedStage
from lockstep.comparing.rendering import Quote, Report, ReportBlock, metric_value, p_value
from lockstep.comparing.run_changes import sentences
from lockstep.comparing.verdicts import ALPHA, BETTER, WORSE, AnotherTarget, MetricComparison, NotComparable
from lockstep.kernel.errors import some
from lockstep.steps.evaluating.intervals import CONFIDENCE

_HEADINGS = ("metric", "A", "B", f"B \N{MINUS SIGN} A [{CONFIDENCE:.0%}]", "p", "verdict")
_UNBROKEN = ("metric", "A", "B", "p")
_TESTS = (
    "\N{DOWNWARDS ARROW}: lower is better. (\N{GREATER-THAN OR EQUAL TO}x): a difference of x would have been found, "
    f"four times in five. Verdicts at {ALPHA:.0%} over all metrics of a problem: p is Holm's."
)


def report(comparison: Comparison, quote: Quote) -> Report:
    """Write the comparison of two revisions' models in words."""
    problems = comparison.problems
    compared = {name: problem for name, problem in problems.items() if isinstance(problem, ProblemComparison)}
    blocks = []
    for name, problem in problems.items():
        if isinstance(problem, ProblemComparison):
            blocks += _blocks(name, problem, quote)
        else:
            lines = [f"{why_not(name, problem, quote)}."]
            blocks.append(ReportBlock(f"{quote(name)}: {problem.verdict}", lines, _HEADINGS, [], _UNBROKEN))
    return Report(
        title=f"A: {quote(comparison.before.shown)}, B: {quote(comparison.after.shown)}",
        lines=[] if problems else ["Neither has a problem."],
        blocks=blocks,
        note=_tests(compared, len(problems), quote) if any(block.rows for block in blocks) else "",
    )


def _tests(compared: Mapping[str, ProblemComparison], n_problems: int, quote: Quote) -> str:
    """The footnote: how to read the tables, and the tests that were made."""
    by_test: dict[str, dict[str, None]] = {}
    for name, problem in compared.items():
        for item in _rows_metrics(problem):
            by_test.setdefault(item.test, {})[name] = None
    made = []
    if {"bootstrap and exchange", "bootstrap"} & set(by_test):
        exchanged = " and exchanged predictions" if "bootstrap and exchange" in by_test else ""
        made.append(f"Test rows: paired bootstrap{exchanged}")
    if "McNemar" in by_test:
        whose = f" of {_these(by_test['McNemar'], quote)}" if n_problems > 1 else ""
        made.append(f"accuracy{whose} by McNemar's exact test")
    parts = [", ".join(made)] if made else []
    if any(_folds_metrics(problem) for problem in compared.values()):
        parts.append("cross-validation: corrected resampled t-test")
    return f"{_TESTS} {_capital('; '.join(parts))}. docs/comparing.md explains them."


def _rows_metrics(problem: ProblemComparison) -> tuple[RowsMetric, ...]:
    return problem.test_rows.metrics if isinstance(problem.test_rows, RowsComparison) else ()


def _folds_metrics(problem: ProblemComparison) -> tuple[MetricComparison, ...]:
    return problem.cross_validation.metrics if isinstance(problem.cross_validation, FoldsComparison) else ()


def summary(name: str, problem: ProblemComparison | NotComparable, quote: Quote) -> list[str]:
    """Write the comparison of a problem's models in few lines: the verdict, or why there is none, and each metric."""
    reason = problem.test_rows if isinstance(problem, ProblemComparison) else problem
    lines = [f"{why_not(name, reason, quote)}."] if isinstance(reason, NotComparable) else []
    if not isinstance(problem, ProblemComparison):
        return [problem.verdict, *lines]
    for item in _rows_metrics(problem):
        metric, before, after, change, p, verdict = metric_row(item)
        details = ", ".join(filter(None, [change, p and f"p {p}"]))
        lines.append(f"{metric} {before} to {after}{details and f' ({details})'}: {verdict}")
    return [verdict_on(problem), *_rows_lines(problem.test_rows), *lines]


def why_not(name: str, reason: NotComparable, quote: Quote) -> str:
    """Say why a problem's models were not compared: a sentence without its full stop."""
    stage = f"evaluate@{name}"
    match reason:
        case Absent(revisions):
            return f"{_these(revisions, quote)} has no problem {quote(name)}: there is nothing to compare"
        case NotRun(revisions):
            where, command = _these(revisions, quote), quote(f"dvc repro {stage}")
            return f"{quote(stage)} has not been run in {where}: '{command}' there makes its predictions"
        case Failed(message):
            return quote(message)
        case NotEvaluated(revisions):
            return (
                f"The test rows have not judged the model of {_these(revisions, quote)}: {quote(stage)} was run with "
                "other settings or for another model"
            )
        case AnotherTarget(before, after):
            was, now = (f"{quote(target.column)} ({quote(target.task)})" for target in (before, after))
            return f"The target was {was} and is {now}"
        case TooFewRows(why_not=text):
            return _capital(text)
    raise AssertionError(reason)


def _these(names: Iterable[str], quote: Quote) -> str:
    return " and ".join(map(quote, names))


def _blocks(name: str, problem: ProblemComparison, quote: Quote) -> list[ReportBlock]:
    """The problem with a table of its test rows, and its folds in another one."""
    shown = [item for item in _rows_metrics(problem) if item.why != SAME_PREDICTIONS]
    lines = [
        *_outdated_lines(problem.outdated, quote),
        *_rows_reason(name, problem, quote),
        *(sentences(problem.changes, quote) or ["Nothing changed that is on record."]),
        *_rows_lines(problem.test_rows),
        *_notes(name, problem, quote),
        *_evaluated_lines(problem),
        *(["Every prediction is the same."] if _rows_metrics(problem) and not shown else []),
        *_folds_lines(name, problem.cross_validation, quote),
    ]
    blocks = [
        ReportBlock(f"{quote(name)}: {verdict_on(problem)}", lines, _HEADINGS, list(map(metric_row, shown)), _UNBROKEN)
    ]
    folds = problem.cross_validation
    if isinstance(folds, FoldsComparison) and any(item.difference != 0 for item in folds.metrics):
        title = f"{quote(name)}, cross-validation: the same {folds.folds} folds"
        blocks.append(ReportBlock(title, [], _HEADINGS, list(map(metric_row, folds.metrics)), _UNBROKEN))
    return blocks


def _outdated_lines(stages: Sequence[OutdatedStage], quote: Quote) -> list[str]:
    """Which stages the workspace has changed since, and whether what is compared is theirs."""
    if not stages:
        return []
    files = sorted({file for item in stages for file in item.changed})
    makes = {item.makes for item in stages}
    what = next((f" Its {part} is that of before." for part in ("model", "evaluation") if part in makes), "")
    which, them = [quote(item.stage) for item in stages], "it" if len(stages) == 1 else "them"
    changed = f"{some([quote(file) for file in files])} changed in the workspace since {some(which)} ran."
    return [f"Note: {changed}{what} 'dvc repro' brings {them} up to date."]


def _rows_reason(name: str, problem: ProblemComparison, quote: Quote) -> list[str]:
    if not isinstance(problem.test_rows, NotComparable):
        return []
    only = isinstance(problem.test_rows, NotEvaluated) and _folds_metrics(problem)
    return [f"{why_not(name, problem.test_rows, quote)}.{' Only the folds are compared.' if only else ''}"]


def _rows_lines(found: RowsComparison | NotComparable) -> list[str]:
    if not isinstance(found, RowsComparison | TooFewRows):
        return []
    rows = found.rows
    kind = {"rows": "", "groups": f" of {rows.n_units:,} groups", "blocks": f" in {rows.n_units:,} blocks of time"}
    if rows.same:
        return [f"The same {rows.compared:,} test rows{kind[rows.units]} on both sides."]
    other = f", {rows.other_target:,} of them with another target" if rows.other_target else ""
    compared = f" Compared on the {rows.compared:,} in common{kind[rows.units]}: A and B are their values there."
    counts = f"{rows.before:,} in A, {rows.after:,} in B, {rows.common:,} in both{other}"
    return [f"The test rows differ: {counts} (matched by {rows.matched_by}).{compared if rows.compared else ''}"]


def _notes(name: str, problem: ProblemComparison, quote: Quote) -> list[str]:
    rows = problem.test_rows
    notes = list(rows.notes) if isinstance(rows, RowsComparison) else []
    if isinstance(rows, RowsComparison) and rows.averages:
        before, after = map(quote, rows.averages)
        notes.append(
            f"Precision, recall and F1 were averaged as {before} before and are as {after} now; both are computed as "
            f"{after} here."
        )
    if problem.altered:
        notes.append(
            f"{quote(f'metrics/{name}.json')} of {_these(problem.altered, quote)} is not the file that "
            f"{quote(f'evaluate@{name}')} wrote. The values here are computed from the predictions."
        )
    return notes


def _evaluated_lines(problem: ProblemComparison) -> list[str]:
    """How many models the test rows have evaluated, and whether a gain could be the luck of so many."""
    models = problem.evaluated_models
    if models is None or models.count < 2:
        return []
    line = f"Git history and experiments hold {models.count} models that were scored on B's test rows."
    lucky = {name: p for name, p in models.p_corrected.items() if p > ALPHA}
    if lucky:
        line += (
            f" Of so many equally good ones some would look this good by luck with a probability up to "
            f"{p_value(min(lucky.values()))} (Bonferroni): the gain in {some(lucky)} is unremarkable. Confirm it on "
            "new rows."
        )
    elif models.p_corrected:
        line += " The gain is too large to be the luck of so many tries (Bonferroni)."
    return [line]


def _folds_lines(name: str, folds: FoldsComparison | NotComparable, quote: Quote) -> list[str]:
    match folds:
        case NoFolds(revisions):
            why = "there is none" if len(revisions) > 1 else "there is none on one side"
        case StaleFolds(revisions):
            stage = quote(f"cross_validate@{name}")
            why = f"{stage} of {_these(revisions, quote)} was not run with these settings or this code"
        case OtherFolds():
            why = "the folds differ: other training rows, folds, repeats or seed"
        case FoldsComparison(metrics=metrics) if metrics:
            lines = []
            if folds.tuned:
                lines.append(
                    f"The cross-validation of {_these(folds.tuned, quote)} is optimistic: a search chose the "
                    "hyperparameters on the same rows. It has no say in the verdict."
                )
            if all(item.difference == 0 for item in metrics):
                lines.append(f"Cross-validation: the same scores in all {folds.folds} folds.")
            return lines
        case _:  # another target, which is said of the test rows
            return []
    return [f"Cross-validation is not compared: {why}."]


def verdict_on(problem: ProblemComparison) -> str:
    """The verdict, and in which metrics, unless in all."""
    metrics, parts = _rows_metrics(problem), []
    for verdict in (BETTER, WORSE):
        names = [item.metric for item in metrics if item.verdict == verdict]
        if names:
            parts.append(verdict if len(names) == len(metrics) else f"{verdict} in {', '.join(names)}")
    return "; ".join(parts) or problem.verdict


def metric_row(item: MetricComparison) -> list[str]:
    """One row of the table of metrics, under _HEADINGS."""
    why = [item.why] if item.why else []
    if isinstance(item, RowsMetric) and item.detectable is not None:
        why.append(f"\N{GREATER-THAN OR EQUAL TO}{_size(item.detectable)}")
    return [
        item.metric + (" \N{DOWNWARDS ARROW}" if item.lower_is_better else ""),
        _value(item.before),
        _value(item.after),
        _change(item),
        "" if item.p_holm is None else p_value(item.p_holm),
        item.verdict + (f" ({'; '.join(why)})" if why else ""),
    ]


def _value(value: float | None) -> str:
    return "undefined" if value is None else metric_value(value)


def _change(item: MetricComparison) -> str:
    if item.difference is None:
        return ""
    change = _signed(item.difference)
    if item.low is None or item.high is None or item.low == item.high:
        return change
    return f"{change} [{_signed(item.low)}, {_signed(item.high)}]"


def _signed(value: float) -> str:
    sign = "" if value == 0 else "+" if value > 0 else "\N{MINUS SIGN}"
    return sign + _size(abs(value))


def _size(value: float) -> str:
    """How large a difference is: as a metric, but one digit of a tiny one."""
    return f"{value:.1g}" if 0 < value < 0.0005 else metric_value(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
