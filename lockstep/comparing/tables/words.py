"""Writes what ``data-diff`` finds in words: sentences about the rows and the target, a table of the changed columns."""

from lockstep.comparing.rendering import Quote, Report, ReportBlock, p_value, percent
from lockstep.comparing.tables.changes import (
    NOT_TESTED,
    SHOWN_CATEGORIES,
    ColumnChanges,
    ColumnComparison,
    Retyped,
    TableChanges,
    TargetChange,
    UnreadColumns,
)
from lockstep.comparing.tables.revisions import DataDiff, NotLoaded, SameFile, WholeTable
from lockstep.comparing.tables.row_matching import Key, RowChanges
from lockstep.comparing.verdicts import ALPHA
from lockstep.kernel.errors import plural, some
from lockstep.steps.splitting.two_samples import FEW_VALUES

_HEADINGS = ("column", "type", "missing", "what changed", "effect", "p (Holm)", "verdict")
_TESTS = (
    f"Verdicts: at {ALPHA:.0%} over all tests of a problem (Holm); numbers of more than {FEW_VALUES} values by "
    "Kolmogorov-Smirnov, others, categories and missing cells by chi-squared or, where these are few, by Fisher's "
    "exact test. With many rows a small effect is significant too: read the effect (0: none, 1: largest)."
)


def not_run(name: str, problem: NotLoaded, quote: Quote) -> str:
    """Say where a problem has no loaded table, and what to type."""
    where, stage = " and ".join(map(quote, problem.revisions)), f"load@{name}"
    return (
        f"{quote(stage)} has not been run in {where}, so there is no table to compare. Run "
        f"'{quote(f'dvc repro {stage}')}' there."
    )


def report(diff: DataDiff, quote: Quote) -> Report:
    """Write what changed in the data of two revisions in words."""
    before, after = quote(diff.before.shown), quote(diff.after.shown)
    blocks = []
    for name, problem in diff.problems.items():
        lines = _outdated_lines(name, diff, quote)
        rows: list[list[str]] = []
        match problem:
            case NotLoaded():
                lines.append(not_run(name, problem, quote))
            case SameFile() if lines:  # of the edit that the note is about, nothing can be said
                lines.append("The tables that were loaded are the same.")
            case SameFile():
                lines.append("Nothing changed: the same file.")
            case WholeTable(status=status):
                here, there = (after, before) if status == "added" else (before, after)
                lines.append(
                    f"The problem is in {here} only, not in {there}: all its {plural(problem.n_rows, 'row')} and "
                    f"{plural(len(problem.columns), 'column')} count as {status}."
                )
            case TableChanges(status="unchanged"):
                lines.append("Nothing changed: the tables hold the same rows and columns in the same order.")
            case TableChanges():
                lines += _change_lines(problem, quote)
                rows = [
                    _column_row(item, problem, quote) for item in _described(problem) if not _is_quiet(item, problem)
                ]
        shown = "not loaded yet" if isinstance(problem, SameFile) and name in diff.outdated else problem.status
        blocks.append(ReportBlock(f"{quote(name)}: {shown}", lines, _HEADINGS, rows))
    nothing = f"Nothing changed in the data of {', '.join(map(quote, diff.problems)) or 'any problem'}."
    return Report(
        title=f"Data of {before} (before) and of {after} (after)",
        lines=[] if diff.changed or diff.outdated else [nothing],
        blocks=blocks,
        note=_TESTS if any(block.rows for block in blocks) else "",
    )


def _outdated_lines(name: str, diff: DataDiff, quote: Quote) -> list[str]:
    stage = f"load@{name}"
    if name not in diff.outdated or diff.problems[name].status == "removed":
        return []
    files = some([quote(file) for file in diff.outdated[name]], SHOWN_CATEGORIES)
    remedy = f"'{quote(f'dvc repro {stage}')}' brings it up to date"
    return [
        f"Note: {files} changed since {quote(stage)} was run in the workspace; its table is that of before. {remedy}."
    ]


def _change_lines(changes: TableChanges, quote: Quote) -> list[str]:
    lines = [_rows_line(changes.rows, quote), *_examples(changes.rows, quote), *_columns_lines(changes.columns, quote)]
    lines += [_unread_line(item, quote) for item in changes.unread]
    if not changes.columns.compared:
        lines.append("No column is in both tables with one type: no row can be matched.")
    lines.append(_target_line(changes.target, quote))
    quiet = [quote(item.column) for item in _described(changes) if _is_quiet(item, changes)]
    if quiet:
        lines.append(f"{len(quiet)} column{'s'[: len(quiet) > 1]} with the same values as before: {some(quiet, 20)}.")
    return lines


def _described(changes: TableChanges) -> list[ColumnComparison]:
    """The columns that both tables have, the target first."""
    shift = changes.target.shift
    return [*([shift] if shift else []), *changes.features]


def _is_quiet(column: ColumnComparison, changes: TableChanges) -> bool:
    """Whether the table of columns can do without this one: nothing in it changed."""
    return (
        column.same_values
        and not _retyped(column, changes)
        and not (changes.rows.changed and column.column in changes.rows.changed.by_column)
    )


def _retyped(column: ColumnComparison, changes: TableChanges) -> Retyped | None:
    return next((item for item in changes.columns.retyped if item.column == column.column), None)


def _rows_line(rows: RowChanges, quote: Quote) -> str:
    parts = [f"{rows.added:,} added", f"{rows.removed:,} removed"]
    parts += [f"{rows.changed.count:,} changed"] if rows.changed else []
    order = ", in another order: 'split' goes by position" if rows.reordered else ""
    how = (
        f"matched by the key {_key_words(rows.key, quote)}"
        if rows.key is not None
        else "matched by content, there being no key: a changed row counts as one removed and one added"
    )
    counts = f"{', '.join(parts)}, {rows.same:,} the same{order}"
    return f"Rows: {rows.before:,} before, {rows.after:,} after: {counts} ({how})."


def _key_words(key: Key, quote: Quote) -> str:
    """``id``; ``id, which load.drop leaves out``; ``id before, customer after``."""
    sides = [side for side, dropped in zip(("before", "after"), key.dropped, strict=True) if dropped]
    where = f" {sides[0]}" if len(sides) == 1 else ""
    name = quote(key.after) if key.before == key.after else f"{quote(key.before)} before, {quote(key.after)} after"
    return f"{name}, which load.drop leaves out{where}" if sides else name


def _unread_line(unread: UnreadColumns, quote: Quote) -> str:
    columns = some([quote(name) for name in unread.columns], SHOWN_CATEGORIES)
    return (
        f"Note: no row of {quote(unread.revision)} could be matched by what load.drop leaves out ({columns}): "
        f"{quote(unread.reason)}."
    )


def _examples(rows: RowChanges, quote: Quote) -> list[str]:
    lines = []
    for what, where, count, numbers in (
        ("added", "after", rows.added, rows.added_row_numbers),
        ("removed", "before", rows.removed, rows.removed_row_numbers),
    ):
        if numbers:
            more = ", \u2026" if count > len(numbers) else ""
            which = f"data row{'' if count == 1 else 's'} {', '.join(map(str, numbers))}{more}"
            lines.append(f"  {what}: {which} of the file {where}")
    if not rows.changed:
        return lines
    for example in rows.changed.examples:
        cells = [f"{quote(cell.column)} {quote(cell.before)} \u2192 {quote(cell.after)}" for cell in example.cells]
        lines.append(f"  {quote(rows.key.after) if rows.key else ''} {quote(example.key)}: {some(cells)}")
    if rows.changed.count > len(rows.changed.examples):
        lines.append(f"  and {rows.changed.count - len(rows.changed.examples):,} more changed rows")
    return lines


def _columns_lines(columns: ColumnChanges, quote: Quote) -> list[str]:
    added, removed = (
        [f"{quote(item.column)} ({item.type})" for item in items] for items in (columns.added, columns.removed)
    )
    retyped = [f"{quote(item.column)} ({item.before} \u2192 {item.after})" for item in columns.retyped]
    parts = {"Columns added": added, "Columns removed": removed, "Columns of another type": retyped}
    lines = [f"{what}: {some(items, 20)}." for what, items in parts.items() if items]
    return [*lines, "The columns are in another order."] if columns.reordered else lines


def _target_line(target: TargetChange, quote: Quote) -> str:
    before, after, shift = target.before, target.after, target.shift
    moved = "" if before.task == after.task else f" The task was {quote(before.task)} and is {quote(after.task)}."
    if shift is None:
        return f"Target: it was {quote(before.column)} and is {quote(after.column)}.{moved}"
    if shift.verdict == NOT_TESTED:
        return f"Target {quote(after.column)}: not tested, {shift.why_not_tested}.{moved}"
    size = f" ({_effect(shift)}, p {_p_words(shift)})" if shift.values else ""
    return f"Target {quote(after.column)}: {shift.verdict}{size}.{moved}"


def _effect(column: ColumnComparison) -> str:
    return f"{column.values.effect} {column.values.size:.3f}" if column.values else ""


def _p_words(column: ColumnComparison) -> str:
    return p_value(column.values.p_adjusted) if column.values and column.values.p_adjusted is not None else ""


def _column_row(column: ColumnComparison, changes: TableChanges, quote: Quote) -> list[str]:
    """One row of the table under _HEADINGS."""
    retyped, missing = _retyped(column, changes), column.missing
    cells = changes.rows.changed.by_column.get(column.column) if changes.rows.changed else None
    reasons = []
    if missing.p_adjusted is not None and missing.p_adjusted <= ALPHA:
        reasons.append(f"missing cells, p {p_value(missing.p_adjusted)}")
    if column.why_not_tested:
        reasons.append(column.why_not_tested)
    return [
        quote(column.column) + (" (target)" if column is changes.target.shift else ""),
        f"{retyped.before} \u2192 {retyped.after}" if retyped else column.type,
        " \u2192 ".join(dict.fromkeys(percent(share) for share in (missing.before, missing.after))),
        "; ".join(_value_changes(column, cells, quote)),
        _effect(column),
        _p_words(column),
        column.verdict + (f" ({'; '.join(reasons)})" if reasons else ""),
    ]


def _value_changes(column: ColumnComparison, cells: int | None, quote: Quote) -> list[str]:
    changes = [] if cells is None else [f"{cells:,} cell{'s' if cells > 1 else ''} changed"]
    if column.range:
        sides = column.range.before, column.range.after
        bounds = [f"{quote(side.min)} \u2026 {quote(side.max)}" if side else "none" for side in sides]
        changes.append(" \u2192 ".join(dict.fromkeys(bounds)))
    if categories := column.categories:
        for what, levels in (("new", categories.new), ("vanished", categories.vanished)):
            if levels.count:
                shown = ", ".join(f"{quote(level.value)} ({level.rows:,})" for level in levels.first)
                more = ", \u2026" if levels.count > len(levels.first) else ""
                changes.append(f"{levels.count} {what}: {shown}{more}")
        if not categories.new.count and not categories.vanished.count and not column.same_values:
            changes.append(f"the same categories ({categories.after:,}), in other numbers")
    return changes
