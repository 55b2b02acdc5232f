"""Writes what ``watch`` finds in words: the verdict, a table of the columns, one of the metrics."""

from collections.abc import Sequence

from lockstep.comparing.model_words import metric_row
from lockstep.comparing.rendering import Quote, Report, ReportBlock, metric_value, p_value, percent
from lockstep.comparing.tables.changes import NO_SHIFT, NOT_TESTED, SHIFTED, ColumnComparison
from lockstep.comparing.verdicts import ALPHA, WORSE, Verdict
from lockstep.deployment.watching.batch import Watched, WatchedColumn
from lockstep.deployment.watching.sample_verdicts import SampleMetric, TooFew
from lockstep.kernel.errors import some

_HEADINGS = ("column", "type", "missing", "odd rows", "what is new", "effect", "p (Holm)", "verdict")
_METRIC_HEADINGS = ("metric", "test rows", "these rows", "these \N{MINUS SIGN} test [95%]", "p", "verdict")
_MANY_COLUMNS = 20
"""Of more columns only those that say something have a line in the table."""
READING = (
    "Missing: training \u2192 these rows. Odd: outside the range, or a level or missing value that no training row "
    "has. The tests take rows as independent of each other. With many rows a small effect is significant too: read "
    "the effect (0: none, 1: largest)."
)


def report(title: str, found: Watched, recorded: str, quote: Quote) -> Report:
    """Write what a batch shows in words.

    Args:
        title: what the model is called.
        found: what was found.
        recorded: the sentence on the record, the last line above the tables.
    """
    columns = sorted(
        found.columns, key=lambda item: (item.compared.verdict != SHIFTED, -item.compared.missing.cells_after)
    )
    shown = [item for item in columns if len(columns) <= _MANY_COLUMNS or _says_something(item)]
    blocks = [
        ReportBlock(
            f"Columns, against the training rows: {_counted(found)}",
            _quiet_lines(len(columns) - len(shown), [item.compared for item in columns if item not in shown]),
            _HEADINGS,
            [_column_row(item.compared, item.odd_rows, found, quote) for item in shown],
        ),
        ReportBlock(
            "Predictions and odd rows, against the test rows",
            [],
            ("what", "missing", "effect", "p (Holm)", "verdict"),
            [
                [quote(item.column), _missing(item), _effect(item), _p(item), _verdict(item, found.level)]
                for item in (*found.predictions, found.odd.compared)
            ],
        ),
    ]
    if isinstance(found.metrics, tuple):
        rows = [_metric_row(item) for item in found.metrics]
        blocks.append(
            ReportBlock(
                f"Metrics of {found.rows_with_truth:,} rows, against the test rows",
                found.notes,
                _METRIC_HEADINGS,
                rows,
                _METRIC_HEADINGS[:1],
            )
        )
    tests = f"Shifts at {found.level:.0%} over all tests of a batch"
    if isinstance(found.metrics, tuple):
        tests += f", metrics at {ALPHA:.0%} over all metrics"
    return Report(
        title=f"{quote(title)}: {found.verdict}",
        lines=[*_lines(found, quote), recorded],
        blocks=blocks,
        note=f"{tests}: p is Holm's. {READING}",
    )


def _lines(found: Watched, quote: Quote) -> list[str]:
    lines = [
        (
            f"Rows: {found.rows:,}, of which {percent(found.odd.batch)} look like nothing in the training rows; of the "
            f"test rows {percent(found.odd.test)} do ({found.odd.compared.verdict})."
        )
    ]
    if names := found.shifted_columns:
        lines.append(f"Columns that shifted: {some([quote(name) for name in names], _MANY_COLUMNS)}.")
    shifted = [quote(item.column) for item in found.predictions if item.verdict == SHIFTED]
    if shifted:
        lines.append(f"Predictions that shifted: {some(shifted)}.")
    match found.metrics:
        case None:
            lines.append(
                "Whether the model is still as good was not looked at: --actual names the column of the truth."
            )
        case TooFew(why):
            lines.append(f"Metrics are not compared: {why}.")
        case metrics:
            verdicts: dict[Verdict, list[str]] = {}
            for item in metrics:
                verdicts.setdefault(item.verdict, []).append(item.metric)
            first = sorted(verdicts.items(), key=lambda entry: entry[0] != WORSE)
            said = "; ".join(f"{verdict} in {some(names, _MANY_COLUMNS)}" for verdict, names in first)
            lines.append(f"Metrics: {said}.")
    return lines


def _counted(found: Watched) -> str:
    return f"{len(found.shifted_columns)} of {len(found.columns)} shifted"


def _quiet_lines(count: int, quiet: Sequence[ColumnComparison]) -> list[str]:
    """What is said of the columns that have no line in the table."""
    if not count:
        return []
    untested = sum(item.verdict == NOT_TESTED for item in quiet)
    more = f", {untested} of them not tested" if untested else ""
    return [f"{count} other columns: {NO_SHIFT}, no odd row{more}. --json has all of them."]


def _says_something(item: WatchedColumn) -> bool:
    return item.compared.verdict == SHIFTED or bool(item.odd_rows)


def _column_row(item: ColumnComparison, odd_rows: int | None, found: Watched, quote: Quote) -> list[str]:
    return [
        quote(item.column),
        item.type,
        _missing(item),
        "" if odd_rows is None else percent(odd_rows / found.rows),
        _news(item, quote),
        _effect(item),
        _p(item),
        _verdict(item, found.level),
    ]


def _missing(item: ColumnComparison) -> str:
    return " \u2192 ".join(dict.fromkeys(percent(share) for share in (item.missing.before, item.missing.after)))


def _news(item: ColumnComparison, quote: Quote) -> str:
    """Unknown levels, or the range where it is wider than that of the training rows."""
    if item.categories and item.categories.new.count:
        new = item.categories.new
        shown = ", ".join(f"{quote(level.value)} ({level.rows:,})" for level in new.first)
        more = ", \u2026" if new.count > len(new.first) else ""
        return f"{new.count} unknown: {shown}{more}"
    if item.range and item.range.before and item.range.after:
        before, after = item.range.before, item.range.after
        if after.min < before.min or after.max > before.max:
            bounds = [f"{quote(side.min)} \u2026 {quote(side.max)}" for side in (before, after)]
            return " \u2192 ".join(bounds)
    return ""


def _effect(item: ColumnComparison) -> str:
    return f"{item.values.effect} {item.values.size:.3f}" if item.values else ""


def _p(item: ColumnComparison) -> str:
    return p_value(item.values.p_adjusted) if item.values and item.values.p_adjusted is not None else ""


def _verdict(item: ColumnComparison, level: float) -> str:
    reasons = []
    if item.missing.p_adjusted is not None and item.missing.p_adjusted <= level:
        reasons.append(f"missing cells, p {p_value(item.missing.p_adjusted)}")
    if item.why_not_tested:
        reasons.append(item.why_not_tested)
    return item.verdict + (f" ({'; '.join(reasons)})" if reasons else "")


def _metric_row(item: SampleMetric) -> list[str]:
    metric, before, after, *others = metric_row(item)
    return [metric, _with(before, item.before_interval), _with(after, item.after_interval), *others]


def _with(value: str, interval: tuple[float, float] | None) -> str:
    return value if interval is None else f"{value} [{metric_value(interval[0])}, {metric_value(interval[1])}]"
