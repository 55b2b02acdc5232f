"""What the API gives is shown in a notebook, and two results are compared as two revisions are."""

import dataclasses
import re

from lockstep import ModelConfig, compare_results, compare_revisions, leaderboards, report, run_pipeline
from lockstep.comparing.verdicts import NO_DIFFERENCE
from lockstep.kernel.errors import DataError
from lockstep.notebooks import ShownReport

import pandas as pd
import pytest
from small import make_table

MARKUP = "<b>y</b>"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function: the result of a model on a table whose target's name is markup."""
    folder = tmp_path_factory.mktemp("api")
    frame = make_table(rows=150).frame.reset_index(drop=True).rename(columns={"y": MARKUP})

    def train(model, **own):
        return run_pipeline(frame, ModelConfig(model, target=MARKUP, models=folder, logs=folder, **own))

    return train


@pytest.fixture(scope="module")
def pair(trained):
    return trained("random_forest", hyperparameters={"n_estimators": 3}), trained("logistic_regression")


def test_a_result_is_shown_with_its_metrics_and_nothing_of_the_data_is_markup(pair):
    shown = pair[0]._repr_html_()
    assert "30 test rows" in shown
    assert re.search(r"accuracy</bdi></td><td[^>]*><bdi>\d\.\d{3}</bdi>", shown)
    assert "\N{PLUS-MINUS SIGN}" in shown
    assert "&lt;b&gt;y&lt;/b&gt;: random_forest" in shown
    assert "<b>" not in shown


def test_two_results_are_compared_on_the_same_rows_and_folds(pair):
    found = compare_results(*pair)
    (problem,) = found.problems.values()
    assert problem.test_rows.rows.same
    assert problem.cross_validation.folds == 5
    assert [(one.key, one.before, one.after) for one in problem.changes.parameters] == [
        ("train.model", "random_forest", "logistic_regression"), ("train.hyperparameters.n_estimators", 3, None),
    ]  # fmt: skip
    shown = found._repr_html_()
    assert "train.model random_forest \N{RIGHTWARDS ARROW} logistic_regression" in shown
    assert "<b>" not in shown
    assert next(iter(compare_results(pair[0], pair[0]).problems.values())).verdict == NO_DIFFERENCE


def test_rows_of_a_file_are_matched_by_number_and_of_frames_by_content(trained, pair, tmp_path):
    frame = make_table(rows=150).frame
    frame.to_csv(tmp_path / "data.csv", index=False)
    config = ModelConfig("logistic_regression", target="y", models=tmp_path, logs=tmp_path)
    result = run_pipeline(tmp_path / "data.csv", config)
    matched = [next(iter(compare_results(a, a).problems.values())).test_rows.rows for a in (result, pair[0])]
    assert [rows.matched_by for rows in matched] == ["row number", "content"]


def test_another_split_has_other_folds(pair, trained):
    other = trained("logistic_regression", split={"seed": 7})
    shown = compare_results(pair[0], other)._repr_html_()
    assert "split.seed 42 \N{RIGHTWARDS ARROW} 7" in shown
    assert "Cross-validation is not compared: the folds differ" in shown


def test_the_evaluation_is_what_a_revision_records(pair):
    """So that one comparison serves both: fields of Evaluated that the API fills by hand."""
    one = pair[0].evaluated
    assert (one.task, one.target, one.average) == ("classification", MARKUP, "macro")
    assert (one.stratified, one.grouped, one.in_time) == (True, False, False)
    pd.testing.assert_frame_equal(one.predictions, pair[0].predictions)
    assert dataclasses.asdict(one)["found"] == {}


def test_a_report_is_in_a_frame_and_one_that_is_not_there_says_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"reports/iris\.html is not built yet\. Run 'dvc repro report@iris'"):
        report("iris")
    (tmp_path / "page.html").write_text('<p title="x">&amp;</p>')
    shown = ShownReport(tmp_path / "page.html")._repr_html_()
    assert 'srcdoc="&lt;p title=&quot;x&quot;&gt;&amp;amp;&lt;/p&gt;"' in shown


def test_revisions_and_leaderboards_are_shown(built_repository, monkeypatch):
    monkeypatch.chdir(built_repository.folder)
    assert "iris: no detectable difference" in compare_revisions("HEAD", "workspace", "iris")._repr_html_()
    assert "iris: 2 models by " in leaderboards("iris")._repr_html_()
