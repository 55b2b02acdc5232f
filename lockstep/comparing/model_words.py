"""What ``compare`` found, in words: sentences about revisions and rows, a table of the metrics, one of the folds."""

from typing import Any

from lockstep.comparing.model_verdicts import ALPHA, BETTER, NO_DIFFERENCE, SAME_PREDICTIONS, WORSE
from lockstep.comparing.rendering import Block, Quote, Report, metric_value, p_value
from lockstep.comparing.run_changes import sentences
from lockstep.evaluating.intervals import LEVEL
from lockstep.kernel.errors import some

HEADINGS = ("metric", "A", "B", f"B \N{MINUS SIGN} A [{LEVEL:.0%}]", "p", "verdict")
UNBROKEN = ("metric", "A", "B", "p")
TESTS = (
    "\N{DOWNWARDS ARROW}: lower is better. (\N{GREATER-THAN OR EQUAL TO}x): a difference of x would have been found, "
    f"four times in five. Verdicts at {ALPHA:.0%} over all metrics of a problem: p is Holm's."
)


def report(found: dict[str, Any], quote: Quote) -> Report:
    """The result of ``compare.compare_revisions`` in words."""
    blocks = [block for name, problem in found["problems"].items() for block in _blocks(name, problem, quote)]
    return Report(
        title=f"A: {quote(found['before']['shown'])}, B: {quote(found['after']['shown'])}",
        lines=[] if found["problems"] else ["Neither has a problem."],
        blocks=blocks,
        note=_tests(found["problems"], quote) if any(block.rows for block in blocks) else "",
    )


def _tests(problems: dict[str, Any], quote: Quote) -> str:
    """The footnote: how to read the tables, and the tests that were made."""
    by_test: dict[str, list[str]] = {}
    for name, problem in problems.items():
        for item in problem["metrics"]:
            by_test.setdefault(item["test"], []).append(name)
    made = []
    if {"bootstrap and exchange", "bootstrap"} & set(by_test):
        exchanged = " and exchanged predictions" if "bootstrap and exchange" in by_test else ""
        made.append(f"Test rows: paired bootstrap{exchanged}")
    if "McNemar" in by_test:
        own = list(dict.fromkeys(by_test["McNemar"]))
        whose = f" of {_these(own, quote)}" if len(problems) > 1 else ""
        made.append(f"accuracy{whose} by McNemar's exact test")
    parts = [", ".join(made)] if made else []
    if any(problem["cross_validation"] and problem["cross_validation"]["metrics"] for problem in problems.values()):
        parts.append("cross-validation: corrected resampled t-test")
    return f"{TESTS} {_capital('; '.join(parts))}. docs/comparing.md explains them."


def why_not(name: str, found: dict[str, Any], quote: Quote) -> str:
    """Why a problem's models were not compared: a sentence without its full stop."""
    stage = f"evaluate@{name}"
    if found["absent"]:
        return f"{_these(found['absent'], quote)} has no problem {quote(name)}: there is nothing to compare"
    if found["not_run"]:
        where, command = _these(found["not_run"], quote), quote(f"dvc repro {stage}")
        return f"{quote(stage)} has not been run in {where}: '{command}' there makes its predictions"
    if found["unjudged"]:
        folds = found["cross_validation"]
        return (
            f"The test rows have not judged the model of {_these(found['unjudged'], quote)}: {quote(stage)} was run "
            "with other settings or for another model"
        ) + (". Only the folds are compared" if folds and folds["metrics"] else "")
    if found["targets"]:
        before, after = [f"{quote(side['column'])} ({quote(side['task'])})" for side in found["targets"]]
        return f"The target was {before} and is {after}"
    return quote(found["why_not"]) if found["error"] else _capital(found["why_not"])  # an error has names in it


def _these(names: list[str], quote: Quote) -> str:
    return " and ".join(map(quote, names))


def _notes(name: str, found: dict[str, Any], quote: Quote) -> list[str]:
    notes = list(found["notes"])
    if found["averages"]:
        before, after = map(quote, found["averages"])
        notes.append(
            f"Precision, recall and F1 were averaged as {before} before and are as {after} now; both are computed as "
            f"{after} here."
        )
    if found["altered"]:
        notes.append(
            f"{quote(f'metrics/{name}.json')} of {_these(found['altered'], quote)} is not the file that "
            f"{quote(f'evaluate@{name}')} wrote. The values here are computed from the predictions."
        )
    return notes


def _blocks(name: str, found: dict[str, Any], quote: Quote) -> list[Block]:
    lines = []
    if found["outdated"]:
        lines.append(_outdated(found["outdated"], quote))
    if found["why_not"]:
        lines.append(f"{why_not(name, found, quote)}.")
    if found["recorded"]:
        lines += sentences(found["changes"], quote) or ["Nothing changed that is on record."]
    if found["rows"]:
        lines += _rows_lines(found["rows"])
    lines += _notes(name, found, quote)
    lines += _looks_lines(found)
    folds = found["cross_validation"]
    shown = [item for item in found["metrics"] if item["why"] != SAME_PREDICTIONS]
    if found["metrics"] and not shown:
        lines.append("Every prediction is the same.")
    if folds is not None and folds["why_not"]:
        lines.append(f"Cross-validation is not compared: {_why_no_folds(name, folds, quote)}.")
    elif folds is not None and folds["metrics"] and folds["tuned"]:
        lines.append(
            f"The cross-validation of {_these(folds['tuned'], quote)} is optimistic: a search chose the "
            "hyperparameters on the same rows. It has no say in the verdict."
        )
    blocks = [Block(f"{quote(name)}: {_verdict(found)}", lines, HEADINGS, [_row(item) for item in shown], UNBROKEN)]
    if folds is not None and folds["metrics"]:
        same = all(item["difference"] == 0 for item in folds["metrics"])
        if same:
            lines.append(f"Cross-validation: the same scores in all {folds['folds']} folds.")
        else:
            rows = [_row(item) for item in folds["metrics"]]
            title = f"{quote(name)}, cross-validation: the same {folds['folds']} folds"
            blocks.append(Block(title, [], HEADINGS, rows, UNBROKEN))
    return blocks


def _outdated(stages: list[dict[str, Any]], quote: Quote) -> str:
    """Which stages the workspace has changed since, and whether what is compared is theirs."""
    files = sorted({file for item in stages for file in item["changed"]})
    makes = {item["makes"] for item in stages}
    what = next((f" Its {part} is that of before." for part in ("model", "evaluation") if part in makes), "")
    which, them = [quote(item["stage"]) for item in stages], "it" if len(stages) == 1 else "them"
    return (
        f"Note: {some([quote(file) for file in files])} changed in the workspace since {some(which)} ran.{what} 'dvc "
        f"repro' brings {them} up to date."
    )


def _why_no_folds(name: str, folds: dict[str, Any], quote: Quote) -> str:
    if folds["stale"]:
        stage = quote(f"cross_validate@{name}")
        return f"{stage} of {_these(folds['stale'], quote)} was not run with these settings or this code"
    return str(folds["why_not"])


def _verdict(found: dict[str, Any]) -> str:
    """The verdict, and in which metrics, unless in all."""
    parts = []
    for verdict in (BETTER, WORSE):
        names = [item["metric"] for item in found["metrics"] if item["verdict"] == verdict]
        if names:
            parts.append(verdict if len(names) == len(found["metrics"]) else f"{verdict} in {', '.join(names)}")
    return "; ".join(parts) or str(found["verdict"])


def _rows_lines(rows: dict[str, Any]) -> list[str]:
    kind = {
        "rows": "",
        "groups": f" of {rows['n_units']:,} groups",
        "blocks": f" in {rows['n_units']:,} blocks of time",
    }
    if rows["same"]:
        return [f"The same {rows['compared']:,} test rows{kind[rows['units']]} on both sides."]
    other = f", {rows['other_target']:,} of them with another target" if rows["other_target"] else ""
    line = (
        f"The test rows differ: {rows['before']:,} in A, {rows['after']:,} in B, {rows['common']:,} in both{other} "
        f"(matched by {rows['matched_by']})."
    )
    compared = f" Compared on the {rows['compared']:,} in common{kind[rows['units']]}: A and B are their values there."
    return [line + (compared if rows["compared"] else "")]


def _looks_lines(found: dict[str, Any]) -> list[str]:
    looks = found["looks"]
    if looks is None or looks < 2:
        return []
    line = f"Git history and experiments hold {looks} models that were scored on B's test rows."
    gains = [item for item in found["metrics"] if item["verdict"] == BETTER]
    lucky = [item for item in gains if item["p_looks"] > ALPHA]
    if lucky:
        line += (
            f" Of so many equally good ones some would look this good by luck with a probability up to "
            f"{p_value(min(item['p_looks'] for item in lucky))} (Bonferroni): the gain in "
            f"{some([item['metric'] for item in lucky])} is unremarkable. Confirm it on new rows."
        )
    elif gains:
        line += " The gain is too large to be the luck of so many tries (Bonferroni)."
    return [line]


def _row(item: dict[str, Any]) -> list[str]:
    name = item["metric"] + (" \N{DOWNWARDS ARROW}" if item["lower_is_better"] else "")
    why = [item["why"]] if item["why"] else []
    if item["verdict"] == NO_DIFFERENCE and item.get("detectable") is not None:
        why.append(f"\N{GREATER-THAN OR EQUAL TO}{_size(item['detectable'])}")
    return [
        name,
        _value(item["before"]),
        _value(item["after"]),
        _change(item),
        "" if item["p_holm"] is None else p_value(item["p_holm"]),
        item["verdict"] + (f" ({'; '.join(why)})" if why else ""),
    ]


def _value(value: float | None) -> str:
    return "undefined" if value is None else metric_value(value)


def _change(item: dict[str, Any]) -> str:
    if item["difference"] is None:
        return ""
    change = _signed(item["difference"])
    if item["low"] is None or item["low"] == item["high"]:
        return change
    return f"{change} [{_signed(item['low'])}, {_signed(item['high'])}]"


def _signed(value: float) -> str:
    sign = "" if value == 0 else "+" if value > 0 else "\N{MINUS SIGN}"
    return sign + _size(abs(value))


def _size(value: float) -> str:
    """How large a difference is: as a metric, but one digit of a tiny one."""
    return f"{value:.1g}" if 0 < value < 0.0005 else metric_value(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
