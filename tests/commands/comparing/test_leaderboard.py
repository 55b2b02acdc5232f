"""The command leaderboard, and compare of more than two revisions: a history of models that is made by hand."""

import re
from functools import partial

from lockstep.comparing.leaderboard import ranking

import pytest
import yaml
from model_history import History, run_command

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    made = History(tmp_path_factory.mktemp("leaderboard") / "repository")
    made.record(skill=0.7, accuracy=0.8)
    made.git("tag", "v1")
    made.commit()  # the same model
    made.experiment("twin", skill=0.7, accuracy=0.78, seed=5, depth=4)
    made.experiment("bad", skill=0.0, accuracy=0.4, seed=6)
    made.experiment("unjudged", skill=0.9, accuracy=0.9, seed=7, evaluated=False)
    made.experiment("other-folds", skill=0.7, accuracy=0.95, seed=8, train="other")
    made.experiment("other-rows", skill=0.7, accuracy=0.6, seed=9, rows="other")
    gone = made.experiment("gone", skill=0.7, accuracy=0.5, seed=10)
    lock = yaml.safe_load(made.git("show", f"{gone}:dvc.lock"))
    made.cached(lock["stages"]["evaluate@toy"]["outs"][0]["md5"]).unlink()
    return made


@pytest.fixture
def run(history, monkeypatch, capsys):
    """A function that runs a command there: its exit code, and what it printed, with --json parsed."""
    monkeypatch.chdir(history.folder)
    return partial(run_command, capsys)


def by_name(board):
    return {entry["names"][0]: entry for entry in board["entries"]}


def test_the_order_is_that_of_the_cross_validation_and_a_model_is_there_once(run):
    status, board = run("leaderboard", "--json")
    assert status == 0
    found = [(entry["place"], entry["names"]) for entry in board["entries"]]
    assert found == [
        (1, ["unjudged"]), (2, ["workspace", "main", "v1"]), (3, ["twin"]), (4, ["other-rows"]), (5, ["gone"]),
        (6, ["bad"]), (None, ["other-folds"]),
    ]  # fmt: skip
    main_, unranked = by_name(board)["workspace"], by_name(board)["other-folds"]
    assert (main_["n_commits"], main_["model_size"]) == (2, len("0.7 0 3"))
    assert main_["cross_validation"]["value"] == pytest.approx(0.8)
    assert main_["cross_validation"]["low"] < 0.8 < main_["cross_validation"]["high"]
    assert main_["test"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert unranked["unranked"] == "other folds"
    assert unranked["cross_validation"]["value"] == pytest.approx(0.95)  # shown, not ranked


def test_which_cannot_be_told_from_the_best(run):
    _, board = run("leaderboard", "--json")
    assert board["compared_with"] == 2  # the first has not been evaluated
    found = by_name(board)
    assert {name for name, entry in found.items() if entry["is_best"]} == {"workspace", "twin", "other-folds"}
    assert found["bad"]["verdict"] == "worse"
    assert board["pairs"] == 3  # twin, bad, other-folds
    assert found["bad"]["p_holm"] == pytest.approx(min(1, 3 * found["bad"]["p"]))
    reasons = {name: entry["why"] for name, entry in found.items() if entry["verdict"] == "not comparable"}
    assert reasons == {"unjudged": "not evaluated", "other-rows": "other test rows", "gone": "no predictions"}


def test_how_often_the_test_rows_were_looked_at(run):
    found = by_name(run("leaderboard", "--json")[1])
    # The evaluation of "unjudged" was of a model that is on record nowhere else.
    assert {name: entry["evaluated_models"] for name, entry in found.items()} == {
        "workspace": 6, "twin": 6, "bad": 6, "gone": 6, "other-folds": 6, "other-rows": 1, "unjudged": None,
    }  # fmt: skip


def test_what_differs_from_the_first(run):
    found = by_name(run("leaderboard", "--json")[1])
    assert found["unjudged"]["changes"] is None
    changed = found["twin"]["changes"]["parameters"]
    assert changed == [{"key": "train.hyperparameters.depth", "before": 3, "after": 4}]
    _, text = run("leaderboard")
    assert "depth 4" in text


def test_words(run):
    status, text = run("leaderboard", "--problem", "toy")
    assert status == 0
    assert "toy: 7 models by accuracy, the higher the better" in text
    assert "6 models that are on record were evaluated on the test rows of model 2." in text
    assert "All are compared with model 2, since model 1 has no predictions of test rows here." in text
    assert "type 'dvc fetch --all-commits data/predictions/toy.parquet'" in text
    _, text = run("leaderboard", "--md")
    assert "| model | cross-validation | test | against 2 | size |" in text
    assert "| 2 = `workspace`, `main`, `v1` (`" in text
    assert "| other test rows |" in text


@pytest.mark.parametrize("width", [80, 100, 160])
def test_it_fits_a_terminal(run, monkeypatch, width):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    text = re.sub("\x1b\\[[0-9;]*m", "", run("leaderboard")[1])
    table = text[text.index("allow-missing'.") : text.index("[ ]: 95% intervals")].splitlines()[1:]
    assert max(map(len, table)) <= width
    whole = [line for line in table if "0.500 [0.400, 0.600]" in line]
    assert len(whole) == 6  # of seven one has not been evaluated


def test_the_page_is_one_file_that_shows_names_as_they_are(run, history, tmp_path):
    copy = history.copy_to(tmp_path / "copy")
    copy.record(skill=0.7, accuracy=0.7, seed=11, odd=True)
    copy.git("branch", "a&b")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(copy.folder)
        status, text = run("leaderboard", "--html")
    assert (status, text) == (0, "reports/leaderboard.html\n")
    page = (copy.folder / "reports/leaderboard.html").read_text()
    assert "a&amp;b" in page
    assert "a&b" not in page
    assert page.count('<tr class="best">') + page.count("<tr><td") == 8
    assert "http" not in page
    assert 'src="' not in page


def test_compare_of_more_than_two_revisions_ranks_them(run):
    _, board = run("compare", "v1", "main", "workspace", "--json")
    assert [entry["names"] for entry in board["entries"]] == [["workspace", "v1", "main"]]
    status, text = run("compare", "v1", "main", "workspace", "--fail-if", "worse")
    assert status == 2
    assert "--fail-if is for two revisions" in text


def test_only_so_many_are_compared(run, monkeypatch):
    monkeypatch.setattr(ranking, "MOST_PAIRS", 3)
    _, board = run("leaderboard", "--json")
    assert board["pairs"] == 1
    assert [entry["verdict"] for entry in board["entries"]][3:] == [None] * 4


def test_what_there_is_not_is_said(run):
    status, text = run("leaderboard", "--problem", "tyo")
    assert status == 2
    assert "No revision has a model of a problem 'tyo'. Problems: toy. Did you mean 'toy'?" in text
    status, text = run("leaderboard", "--metric", "acuracy")
    assert status == 2
    assert "--metric: 'acuracy' is no metric of classification. Allowed: auto, accuracy" in text
