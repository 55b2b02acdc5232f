"""What ``data-diff`` found, in words: sentences about the rows and the target, a table of the changed columns."""

from typing import Any

from lockstep.comparing.rendering import Block, Quote, Report, p_value, percent
from lockstep.comparing.table_changes import ALPHA, FEW, NOT_TESTED, UNCHANGED
from lockstep.kernel.errors import some

NOT_RUN = "not run"
HEADINGS = ("column", "type", "missing", "what changed", "effect", "p (Holm)", "verdict")
TESTS = (
    f"Verdicts: at {ALPHA:.0%} over all tests of a problem (Holm); numbers by Kolmogorov-Smirnov, categories and "
    "missing cells by chi-squared. With many rows a small effect is significant too: read the effect "
    "(0: none, 1: largest)."
)


def not_run(name: str, found: dict[str, Any], quote: Quote) -> str:
    """What a problem lacks of whose loaded tables one or both are missing, and what to type."""
    where, stage = " and ".join(map(quote, found["not_run"])), f"load@{name}"
    return (
        f"{quote(stage)} has not been run in {where}, so there is no table to compare. Run "
        f"'{quote(f'dvc repro {stage}')}' there."
    )


def report(found: dict[str, Any], quote: Quote) -> Report:
    """The result of ``data_diff.diff`` in words."""
    problems = found["problems"]
    before, after = quote(found["before"]["shown"]), quote(found["after"]["shown"])
    blocks = [_block(name, problem, (before, after), quote) for name, problem in problems.items()]
    nothing = not found["changed"] and not any(problem["outdated"] for problem in problems.values())
    return Report(
        title=f"Data of {before} (before) and of {after} (after)",
        lines=[f"Nothing changed in the data of {', '.join(map(quote, problems)) or 'any problem'}."]
        if nothing
        else [],
        blocks=blocks,
        note=TESTS if any(block.rows for block in blocks) else "",
    )


def _block(name: str, found: dict[str, Any], revisions: tuple[str, str], quote: Quote) -> Block:
    """One problem; ``revisions`` as they are shown, before and after."""
    (before, after), status, lines, rows = revisions, found["status"], [], []
    stage = f"load@{name}"
    if found["outdated"] and status != "removed":
        files = some([quote(file) for file in found["outdated"]], FEW)
        lines.append(
            f"Note: {files} changed since {quote(stage)} was run in the workspace; its table is that of before. "
            f"'{quote(f'dvc repro {stage}')}' brings it up to date."
        )
    if status == NOT_RUN:
        lines.append(not_run(name, found, quote))
    elif status in ("added", "removed"):
        here, there = (after, before) if status == "added" else (before, after)
        lines.append(
            f"The problem is in {here} only, not in {there}: all its {found['rows'][status]:,} rows and "
            f"{len(found['columns'][status])} columns count as {status}."
        )
    elif found["same_file"]:
        lines.append("Nothing changed: the same file.")
    elif status == UNCHANGED:
        lines.append("Nothing changed: the files differ, but hold the same rows and columns in the same order.")
    else:
        lines += [
            _rows_line(found["rows"], quote),
            *_examples(found["rows"], quote),
            *_columns_lines(found["columns"], quote),
        ]
        if found["rows"]["key"] is None and not found["rows"]["compared_columns"]:
            lines.append("No column is in both tables with one type: no row can be matched.")
        lines.append(_target_line(found["target"], quote))
        shift = found["target"]["shift"]
        described = ([shift] if shift else []) + found["features"]
        counts = found["rows"]["changed_by_column"]
        retyped = {item["column"]: item for item in found["columns"]["retyped"]}
        quiet = []
        for column in described:
            own = column["column"]
            if column["same_values"] and own not in retyped and own not in counts:
                quiet.append(quote(own))
            else:
                rows.append(_column_row(column, retyped.get(own), counts.get(own), quote, target=column is shift))
        if quiet:
            lines.append(
                f"{len(quiet)} column{'s'[: len(quiet) > 1]} with the same values as before: {some(quiet, 20)}."
            )
    return Block(f"{quote(name)}: {status}", lines, HEADINGS, rows)


def _rows_line(rows: dict[str, Any], quote: Quote) -> str:
    parts = [f"{rows['added']:,} added", f"{rows['removed']:,} removed"]
    parts += [f"{rows['changed']:,} changed"] if rows["changed"] is not None else []
    order = ", in another order: 'split' goes by position" if rows["reordered"] else ""
    how = (
        f"matched by the key {quote(rows['key'])}"
        if rows["key"] is not None
        else "matched by content, there being no key: a changed row counts as one removed and one added"
    )
    counts = f"{', '.join(parts)}, {rows['same']:,} the same{order}"
    return f"Rows: {rows['before']:,} before, {rows['after']:,} after: {counts} ({how})."


def _examples(rows: dict[str, Any], quote: Quote) -> list[str]:
    lines = []
    for what, where in (("added", "after"), ("removed", "before")):
        if numbers := rows[f"{what}_row_numbers"]:
            more = ", \u2026" if rows[what] > len(numbers) else ""
            lines.append(f"  {what}: data rows {', '.join(map(str, numbers))}{more} of the file {where}")
    for example in rows["examples"]:
        cells = [f"{quote(c['column'])} {quote(c['before'])} \u2192 {quote(c['after'])}" for c in example["cells"]]
        lines.append(f"  {quote(rows['key'])} {quote(example['key'])}: {some(cells)}")
    if rows["examples"] and rows["changed"] > len(rows["examples"]):
        lines.append(f"  and {rows['changed'] - len(rows['examples']):,} more changed rows")
    return lines


def _columns_lines(columns: dict[str, Any], quote: Quote) -> list[str]:
    lines = []
    for what in ("added", "removed"):
        items = [f"{quote(c['column'])} ({c['type']})" for c in columns[what]]
        lines += [f"Columns {what}: {some(items, 20)}."] if items else []
    if columns["retyped"]:
        items = [f"{quote(c['column'])} ({c['before']} \u2192 {c['after']})" for c in columns["retyped"]]
        lines.append(f"Columns of another type: {some(items, 20)}.")
    if columns["reordered"]:
        lines.append("The columns stand in another order.")
    return lines


def _target_line(target: dict[str, Any], quote: Quote) -> str:
    before, after, shift = target["before"], target["after"], target["shift"]
    moved = (
        ""
        if before["task"] == after["task"]
        else f" The task was {quote(before['task'])} and is {quote(after['task'])}."
    )
    if shift is None:
        return f"Target: it was {quote(before['column'])} and is {quote(after['column'])}.{moved}"
    if shift["verdict"] == NOT_TESTED:
        return f"Target {quote(after['column'])}: not tested, {shift['why_not_tested']}.{moved}"
    values = shift["values"]
    return (
        f"Target {quote(after['column'])}: {shift['verdict']}"
        + (f" ({values['effect']} {values['size']:.3f}, p {p_value(values['p_adjusted'])})" if values else "")
        + f".{moved}"
    )


def _column_row(
    column: dict[str, Any], retyped: dict[str, Any] | None, cells: int | None, quote: Quote, *, target: bool
) -> list[str]:
    """One row of the table under HEADINGS."""
    kind = f"{retyped['before']} \u2192 {retyped['after']}" if retyped else column["type"]
    missing, changes = column["missing"], []
    if cells is not None:
        changes.append(f"{cells:,} cell{'s' if cells > 1 else ''} changed")
    if column["range"]:
        bounds = [f"{quote(r['min'])} \u2026 {quote(r['max'])}" if r else "none" for r in column["range"].values()]
        changes.append(bounds[0] if bounds[0] == bounds[1] else " \u2192 ".join(bounds))
    if column["categories"]:
        for what in ("new", "vanished"):
            levels = column["categories"][what]
            if levels["count"]:
                shown = ", ".join(f"{quote(level['value'])} ({level['rows']:,})" for level in levels["first"])
                more = ", \u2026" if levels["count"] > len(levels["first"]) else ""
                changes.append(f"{levels['count']} {what}: {shown}{more}")
        if not column["categories"]["new"]["count"] and not column["categories"]["vanished"]["count"]:
            changes.append(f"the same {column['categories']['after']} categories, in other numbers")
    values, verdict = column["values"], column["verdict"]
    reasons = []
    if missing["p_adjusted"] is not None and missing["p_adjusted"] <= ALPHA:
        reasons.append(f"missing cells, p {p_value(missing['p_adjusted'])}")
    if column["why_not_tested"]:
        reasons.append(column["why_not_tested"])
    return [
        quote(column["column"]) + (" (target)" if target else ""),
        kind,
        " \u2192 ".join(dict.fromkeys(percent(missing[side]) for side in ("before", "after"))),
        "; ".join(changes),
        f"{values['effect']} {values['size']:.3f}" if values else "",
        p_value(values["p_adjusted"]) if values else "",
        verdict + (f" ({'; '.join(reasons)})" if reasons else ""),
    ]
