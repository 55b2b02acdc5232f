"""What a search hands on to the stages behind it."""

import json

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.kernel.files import Outputs
from lockstep.learning.estimators import with_best_trial
from lockstep.learning.search_result import BestTrial, read_best_trial, write_best_trial

import msgspec
import pytest

BEST = BestTrial(
    metric="mae",
    trials=5,
    failed=1,
    best_trial=3,
    mean=0.1 + 0.2,
    std=1e-300,
    given_mean=None,
    hyperparameters={"max_depth": None, "min_samples_leaf": 2, "layers": [8, 8]},
)


@pytest.mark.parametrize("best", [None, BEST])
def test_what_is_written_is_read(tmp_path, best):
    with Outputs() as outputs:
        write_best_trial(outputs, tmp_path / "b.json", best)
    assert read_best_trial(tmp_path / "b.json") == best
    assert list(json.loads((tmp_path / "b.json").read_text())) == (list(BestTrial.__struct_fields__) if best else [])


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "{", "\xff", '{"hyperparameters": {}}', "without", "more", "another type", "[" * 100_000]
)
def test_a_file_that_is_none(tmp_path, text):
    content = msgspec.structs.asdict(BEST)
    changed = {
        "without": {key: value for key, value in content.items() if key != "mean"},
        "more": {**content, "x": 1},
        "another type": {**content, "hyperparameters": "ab"},
    }
    (tmp_path / "b.json").write_text(json.dumps(changed[text]) if text in changed else text, encoding="latin-1")
    with pytest.raises(IntegrityError, match=r"b\.json is not what the stage tune wrote\. Run 'dvc repro'"):
        read_best_trial(tmp_path / "b.json")
    with pytest.raises(DataError, match=r"no\.json does not exist\. Run 'dvc repro'"):
        read_best_trial(tmp_path / "no.json")


def test_the_best_trial_goes_before_what_is_given_and_leaves_the_rest(make_settings):
    given = make_settings("random_forest", hyperparameters={"n_estimators": 5, "max_depth": 3})
    assert with_best_trial(given, None) is given
    assert with_best_trial(given, msgspec.structs.replace(BEST, hyperparameters={})) is given
    chosen = msgspec.structs.replace(BEST, hyperparameters={"max_depth": None, "min_samples_leaf": 2})
    found = with_best_trial(given, chosen)
    assert found.hyperparameters == {"n_estimators": 5, "max_depth": None, "min_samples_leaf": 2}
    assert (found.model, found.version, found.seed) == (given.model, given.version, given.seed)
