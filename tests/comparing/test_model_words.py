"""What compare found, in words: every name in it can hold any character."""

import re

from lockstep.comparing.fold_verdicts import FoldMetric, FoldsComparison, NoFolds, OtherFolds, StaleFolds
from lockstep.comparing.model_revisions import Absent, Comparison, EvaluatedModels, Failed, NotRun, ProblemComparison
from lockstep.comparing.model_verdicts import NotEvaluated, RowCounts, RowsComparison, RowsMetric
from lockstep.comparing.model_words import report
from lockstep.comparing.recorded_evaluations import OutdatedStage
from lockstep.comparing.rendering import code, markdown, show, visible
from lockstep.comparing.run_changes import FileChange, RunChanges, ValueChange
from lockstep.comparing.verdicts import ALPHA, AnotherTarget, Target
from lockstep.repository.revisions import RevisionName

import pytest

ODD = "x](http://evil) <b>\x1b[31m|`y"
"""A link, a tag, a colour of the terminal's, the end of a cell and of a code span."""
QUOTED = r"``x](http://evil) <b>\x1b[31m\|`y``"
SHOWN = r"x](http://evil) <b>\x1b[31m|`y"
METRIC = {
    "metric": "accuracy", "lower_is_better": False, "before": 0.5, "after": 0.75, "difference": 0.25, "low": 0.125,
    "high": 0.375, "p": 0.01, "p_holm": 0.01, "verdict": "better", "test": "McNemar",
}  # fmt: skip
COUNTS = RowCounts(
    before=30, after=30, common=30, other_target=0, compared=30, matched_by="content", units="rows", n_units=30,
    same=True,
)  # fmt: skip


def rows(*tests, averages=None):
    metrics = tuple(RowsMetric(**METRIC | {"test": test}) for test in tests)
    return RowsComparison(rows=COUNTS, metrics=metrics, averages=averages, notes=())


def folds(*tuned):
    metric = FoldMetric(**METRIC | {"test": "corrected resampled t"}, before_std=0.1, after_std=0.1)
    return FoldsComparison(folds=5, metrics=(metric,), tuned=tuned)


def changed(**own):
    return RunChanges(**dict.fromkeys(("parameters", "libraries", "data", "code", "hyperparameters"), ()) | own)


def problem(**own):
    blank = {
        "verdict": "better", "test_rows": rows(), "cross_validation": OtherFolds(), "changes": changed(),
        "outdated": (), "altered": (), "evaluated_models": None,
    }  # fmt: skip
    return ProblemComparison(**blank | own)


def comparison(problems, before="HEAD", after="the workspace"):
    names = RevisionName(before, None, before), RevisionName(after, None, after)
    return Comparison(alpha=ALPHA, before=names[0], after=names[1], problems=problems)


CASES = {
    "absent": Absent((ODD,)),
    "not run": NotRun((ODD, ODD)),
    "not judged": problem(test_rows=NotEvaluated((ODD,))),
    "target": problem(test_rows=AnotherTarget(Target(ODD, "regression"), Target("y", ODD))),
    "error": Failed(ODD, 3),
    "averages": problem(test_rows=rows(averages=(ODD, "macro"))),
    "altered": problem(altered=(ODD,)),
    "outdated": problem(outdated=(OutdatedStage(ODD, (ODD,), None),)),
    "folds": problem(cross_validation=NoFolds((ODD,))),
    "other folds": problem(cross_validation=StaleFolds((ODD,))),
    "tuned": problem(cross_validation=folds(ODD)),
    "hyperparameters": problem(changes=changed(hyperparameters=(ValueChange(ODD, ODD, ODD),))),
    "data": problem(changes=changed(data=(FileChange(ODD, "a" * 32, None),))),
    "McNemar": problem(test_rows=rows("McNemar")),
}


@pytest.mark.parametrize("case", CASES)
def test_names_can_do_nothing_in_markdown_and_in_a_terminal(case, capsys):
    found = comparison({ODD: CASES[case]}, ODD, ODD)
    text = markdown(report(found, code))
    assert text.count("evil") == text.count("x](http://evil) <b>\\x1b[31m\\|`y") >= 3
    assert f"A: {QUOTED}, B: {QUOTED}" in text
    assert f"#### {QUOTED}: " in text
    assert sum(span.count("evil") for span in re.findall("``.*?``", text)) == text.count("evil")
    show(report(found, visible))
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert shown.count(SHOWN) == shown.count("evil") == text.count("evil")


def lines(**own):
    return report(comparison({"p": problem(**own)}), visible).blocks[0].lines


@pytest.mark.parametrize(
    ("makes", "said"),
    [([None], False), ([None, "evaluation"], "evaluation"), (["evaluation", "model"], "model"), (["model"], "model")],
)
def test_whether_the_model_is_that_of_before(makes, said):
    stages = tuple(OutdatedStage(f"s{n}@p", ("x.csv", f"{n}.csv"), part) for n, part in enumerate(makes))
    line = lines(outdated=stages)[0]
    names = ", ".join(stage.stage for stage in stages)
    assert line.startswith(f"Note: {', '.join(f'{n}.csv' for n in range(len(makes)))}, x.csv changed in the workspace "
                           f"since {names} ran. ")  # fmt: skip
    assert ("is that of before" in line) == bool(said)
    assert f"Its {said} is that of before." in line or not said


def test_the_folds_are_said_to_be_compared_only_where_they_are():
    not_judged = NotEvaluated(("HEAD",))
    for other in (NoFolds(("HEAD",)), OtherFolds(), AnotherTarget(Target("y", "a"), Target("z", "a"))):
        assert "Only the folds" not in "".join(lines(test_rows=not_judged, cross_validation=other))
    assert lines(test_rows=not_judged, cross_validation=folds())[0].endswith("Only the folds are compared.")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (NoFolds(("HEAD",)), "there is none on one side"),
        (NoFolds(("HEAD", "x")), "there is none"),
        (StaleFolds(("x",)), "cross_validate@p of x was not run with these settings or this code"),
        (OtherFolds(), "the folds differ: other training rows, folds, repeats or seed"),
    ],
)
def test_why_the_folds_are_not_compared(found, said):
    assert lines(cross_validation=found)[-1] == f"Cross-validation is not compared: {said}."


@pytest.mark.parametrize(
    ("count", "p", "said"),
    [(1, 0.01, None), (30, 0.29, "the gain in accuracy is unremarkable. Confirm it on new rows."),
     (3, 0.02, "The gain is too large to be the luck of so many tries (Bonferroni).")],
)  # fmt: skip
def test_whether_a_gain_can_be_luck(count, p, said):
    text = "".join(lines(test_rows=rows("McNemar"), evaluated_models=EvaluatedModels(count, {"accuracy": p})))
    assert (f"hold {count} models that were scored on B's test rows." in text) == bool(said)
    assert not said or said in text


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
    problems = {name: problem(test_rows=rows(*own)) for name, own in tests.items()}
    note = report(comparison(problems), visible).note
    assert said in note
    assert "cross-validation" not in note
    note = report(comparison({"p": problem(cross_validation=folds())}), visible).note
    assert "Cross-validation: corrected resampled t-test." in note


def test_a_changed_target():
    target = AnotherTarget(Target("y", "regression"), Target("z", "regression"))
    said = lines(verdict="not comparable", test_rows=target, cross_validation=target)
    assert said == ["The target was y (regression) and is z (regression).", "Nothing changed that is on record."]
