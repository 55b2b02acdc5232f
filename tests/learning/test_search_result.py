"""What a search hands on to the stages behind it."""

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.learning.search_result import read_winner, with_winner

import pytest


@pytest.mark.parametrize(
    ("text", "winner"),
    [("{}", {}), ('{"winner": 0, "hyperparameters": {}}', {}), ('{"hyperparameters": {"a": null}}', {"a": None})],
)
def test_a_winner(tmp_path, text, winner):
    (tmp_path / "w.json").write_text(text)
    assert read_winner(tmp_path / "w.json") == winner


@pytest.mark.parametrize("text", ["", "[]", "3", '{"hyperparameters": 3}', '{"hyperparameters": "ab"}', "{"])
def test_a_file_that_is_none(tmp_path, text):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"w\.json is not what the stage tune wrote\. Run 'dvc repro'"):
        read_winner(tmp_path / "w.json")
    with pytest.raises(DataError, match=r"no\.json does not exist\. Run 'dvc repro'"):
        read_winner(tmp_path / "no.json")


def test_a_winner_goes_before_what_is_given_and_leaves_the_rest(make_settings):
    given = make_settings("random_forest", hyperparameters={"n_estimators": 5, "max_depth": 3})
    assert with_winner(given, {}) is given
    found = with_winner(given, {"max_depth": None, "min_samples_leaf": 2})
    assert found.hyperparameters == {"n_estimators": 5, "max_depth": None, "min_samples_leaf": 2}
    assert (found.model, found.version, found.seed) == (given.model, given.version, given.seed)
