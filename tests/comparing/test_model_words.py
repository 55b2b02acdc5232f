"""What compare found, in words: every name in it can hold any character."""

import re

from lockstep.commands.compare import BLANK
from lockstep.comparing.model_words import report
from lockstep.comparing.rendering import code, markdown, show, visible

import pytest

ODD = "x](http://evil) <b>\x1b[31m|`y"
"""A link, a tag, a colour of the terminal's, the end of a cell and of a code span."""
QUOTED = r"``x](http://evil) <b>\x1b[31m\|`y``"
SHOWN = r"x](http://evil) <b>\x1b[31m|`y"
FOLDS = {"folds": 0, "why_not": None, "metrics": [], "stale": [], "tuned": []}
METRIC = {
    "metric": "accuracy", "lower_is_better": False, "before": 0.5, "after": 0.75, "difference": 0.25, "low": 0.125,
    "high": 0.375, "p": 0.01, "p_holm": 0.01, "verdict": "better", "why": None, "test": "McNemar", "p_looks": 0.01,
}  # fmt: skip
CHANGED = {"parameters": [], "libraries": [], "data": [], "code": []} | {
    "hyperparameters": [{"key": ODD, "before": ODD, "after": ODD}]
}
CASES = {
    "absent": {"absent": [ODD], "why_not": "the problem is in one revision only"},
    "not run": {"not_run": [ODD, ODD], "why_not": "not run"},
    "not judged": {"unjudged": [ODD], "why_not": "the test rows have not judged the model"},
    "target": {"targets": [{"column": ODD, "task": "regression"}, {"column": "y", "task": ODD}], "why_not": "x"},
    "error": {"why_not": ODD, "error": 3},
    "averages": {"averages": [ODD, "macro"]},
    "altered": {"altered": [ODD]},
    "outdated": {"outdated": [{"stage": ODD, "changed": [ODD], "makes": None}]},
    "folds": {"cross_validation": FOLDS | {"why_not": "there is none"}},
    "other folds": {"cross_validation": FOLDS | {"why_not": "not run with these settings", "stale": [ODD]}},
    "tuned": {"cross_validation": FOLDS | {"folds": 5, "tuned": [ODD], "metrics": [METRIC]}},
    "hyperparameters": {"recorded": True, "changes": CHANGED},
    "McNemar": {"metrics": [METRIC]},
}


@pytest.mark.parametrize("case", CASES)
def test_names_can_do_nothing_in_markdown_and_in_a_terminal(case, capsys):
    found = {"before": {"shown": ODD}, "after": {"shown": ODD}, "problems": {ODD: BLANK | CASES[case]}}
    text = markdown(report(found, code))
    assert text.count("evil") == text.count("x](http://evil) <b>\\x1b[31m\\|`y") >= 3
    assert f"A: {QUOTED}, B: {QUOTED}" in text
    assert f"#### {QUOTED}: " in text
    assert sum(span.count("evil") for span in re.findall("``.*?``", text)) == text.count("evil")
    show(report(found, visible))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count(SHOWN) == shown.count("evil") == text.count("evil")


def lines(**found):
    whole = {"before": {"shown": "HEAD"}, "after": {"shown": "the workspace"}, "problems": {"p": BLANK | found}}
    return report(whole, visible).blocks[0].lines


@pytest.mark.parametrize(
    ("makes", "said"),
    [([None], False), ([None, "evaluation"], "evaluation"), (["evaluation", "model"], "model"), (["model"], "model")],
)
def test_whether_the_model_is_that_of_before(makes, said):
    stages = [{"stage": f"s{n}@p", "changed": ["x.csv", f"{n}.csv"], "makes": part} for n, part in enumerate(makes)]
    (line,) = lines(outdated=stages)
    names = ", ".join(stage["stage"] for stage in stages)
    assert line.startswith(f"Note: {', '.join(f'{n}.csv' for n in range(len(makes)))}, x.csv changed in the workspace "
                           f"since {names} ran. ")  # fmt: skip
    assert ("is that of before" in line) == bool(said)
    assert f"Its {said} is that of before." in line or not said


def test_the_folds_are_said_to_be_compared_only_where_they_are():
    not_judged = {"unjudged": ["HEAD"], "why_not": "the test rows have not judged the model"}
    for folds in (None, FOLDS | {"why_not": "the folds differ"}):
        assert "Only the folds" not in "".join(lines(**not_judged, cross_validation=folds))
    assert lines(**not_judged, cross_validation=FOLDS | {"metrics": [METRIC]})[0].endswith(
        "Only the folds are compared."
    )


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ({"p": ["McNemar", "bootstrap and exchange"]},
         "Test rows: paired bootstrap and exchanged predictions, accuracy by McNemar's exact test. docs/"),
        ({"p": ["bootstrap and exchange"]}, "Test rows: paired bootstrap and exchanged predictions. docs/"),
        ({"p": ["bootstrap"]}, "Test rows: paired bootstrap. docs/"),
        ({"p": ["McNemar", "bootstrap"], "q": ["bootstrap"]},
         "Test rows: paired bootstrap, accuracy of p by McNemar's exact test. docs/"),
    ],
)  # fmt: skip
def test_the_footnote_names_the_tests_that_were_made(tests, said):
    problems = {name: BLANK | {"metrics": [METRIC | {"test": test} for test in own]} for name, own in tests.items()}
    whole = {"before": {"shown": "HEAD"}, "after": {"shown": "the workspace"}, "problems": problems}
    note = report(whole, visible).note
    assert said in note
    assert "cross-validation" not in note
    folds = BLANK | {"cross_validation": FOLDS | {"metrics": [METRIC]}}
    assert "Cross-validation: corrected resampled t-test." in report(whole | {"problems": {"p": folds}}, visible).note


def test_a_changed_target():
    found = BLANK | {"targets": [{"column": "y", "task": "regression"}, {"column": "z", "task": "regression"}]}
    found |= {"why_not": "another target"}
    whole = {"before": {"shown": "HEAD"}, "after": {"shown": "the workspace"}, "problems": {"p": found}}
    (block,) = report(whole, visible).blocks
    assert block.lines == ["The target was y (regression) and is z (regression)."]
