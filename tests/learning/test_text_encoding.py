"""Free text as numbers: what tells texts apart, what is missing or new, and how many numbers there are."""

from lockstep.kernel.errors import SettingsError
from lockstep.learning import text_encoding
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor, raw_types_of
from lockstep.learning.text_encoding import runs_of

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score

RANDOM = np.random.default_rng(0)
JOBS = [
    f"{grade} {job} {number}"
    for grade in ("Junior", "Senior", "Master")
    for job in ("Firefighter", "Nurse", "Bus Operator", "Clerk")
    for number in ("I", "II", "III")
]


@pytest.fixture
def fit(make_table):
    """(preprocessor, encoded frame) of a column 'job' of these texts, which is of free text, and of a number."""

    def fit(texts, model="random_forest", **settings):
        columns = {"job": pd.Series(texts, dtype="str"), "x": np.arange(len(texts)) % 7}
        table = make_table(columns | {"y": [f"{i % 2}" for i in range(len(texts))]})
        own = {"text_columns": ("job",)} | settings
        return fit_preprocessor(table, PreprocessSettings(**own), model)

    return fit


def test_the_numbers_stand_beside_the_usual_encoding_and_have_names(fit):
    preprocessor, encoded = fit(JOBS * 3, text_components=4, max_levels=10)
    names = [f"job: text {number}" for number in range(1, 5)]
    assert list(encoded) == ["number__x", "target__job", *names]
    assert raw_types_of(preprocessor, {}) == {"x": "number", "job": "text"}
    assert fit(JOBS * 3)[1].shape[1] == 2 + 30


def test_a_text_that_no_training_row_has_is_near_those_that_share_its_words(fit):
    preprocessor, _ = fit([job for job in JOBS if job != "Senior Nurse II"] * 4, text_components=10)
    rows = pd.DataFrame({"job": ["Senior Nurse II", "Senior Nurse I", "Junior Clerk III"], "x": 0})
    new, near, far = preprocessor.transform(rows)[:, -10:]
    assert np.linalg.norm(new - near) < 0.3 < 0.7 < np.linalg.norm(new - far)


def test_texts_that_all_differ_are_told_apart_by_their_words_alone(fit):
    texts = [f"{RANDOM.choice(['good', 'bad'])} thing number {number} of many" for number in range(200)]
    _, encoded = fit(texts, "ridge", text_components=5)
    assert list(encoded) == ["number__x", *(f"job: text {number}" for number in range(1, 6))]
    is_good = np.array(["good" in text for text in texts])
    assert cross_val_score(RidgeClassifier(), encoded.drop(columns="number__x"), is_good).mean() > 0.95


@pytest.mark.parametrize(
    "missing",
    [pd.Series([None], dtype=kind) for kind in ("str", "string", "object")] + [pd.Series([np.nan])],
    ids=lambda column: str(column.dtype),
)
def test_a_missing_text_has_no_words(fit, missing):
    preprocessor, encoded = fit([*JOBS, None, None] * 2, text_components=3)
    assert (encoded.filter(like=": text").iloc[[36, 37]] == 0).all(axis=None)
    row = preprocessor.transform(pd.DataFrame({"job": missing, "x": [1]}))
    np.testing.assert_array_equal(row[0, -3:], 0)


@pytest.mark.parametrize(
    ("texts", "n_components"),
    [
        (["a b", "c d"], 2),  # as many as there are different texts
        (["ab", None], 0),  # constant
        (["ab", "AB"], 0),  # one run, since upper case is lower case
        (["abc", "bcd", "ab cd", None], 4 - 1),
        (["abc", "ABC", "Abc "], 0),
        (["x", "y"], 0),  # a single character has no run of two
        (["  ", "\t"], 0),
    ],
)
def test_there_are_no_more_numbers_than_there_is_to_tell(fit, texts, n_components):
    preprocessor, encoded = fit(texts * 10)
    assert encoded.filter(like=": text").shape[1] == n_components
    assert np.isfinite(preprocessor.transform(pd.DataFrame({"job": ["ab", "?", None], "x": 0}))).all()


def test_the_runs_that_most_texts_have_are_kept_whatever_their_order(monkeypatch):
    monkeypatch.setattr(text_encoding, "MAX_RUNS", 3)
    texts = pd.Series(["abc", "abd", "ab", "ab", "ab", "ef", None])
    assert runs_of(texts) == ["ab", "abc", "abd"]
    assert runs_of(texts[::-1]) == ["ab", "abc", "abd"]
    assert runs_of(pd.Series([None, None])) == []


def test_they_are_scaled_as_numbers_are(fit):
    _, encoded = fit(JOBS * 3, "ridge", text_components=3)
    np.testing.assert_allclose(encoded.filter(like=": text").std(ddof=0), 1)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ("jobs",),
            "preprocess.text_columns lists 'jobs', which is not among the features: job, x. Did you mean 'job'?",
        ),
        (
            ("job", "x"),
            "preprocess.text_columns lists 'x', whose type is number. Only columns of type text have words:",
        ),
    ],
)
def test_columns_without_texts_are_refused(fit, columns, message):
    with pytest.raises(SettingsError) as caught:
        fit(JOBS, text_columns=columns)
    assert str(caught.value).startswith(message)
