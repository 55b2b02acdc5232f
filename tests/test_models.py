"""Model files: their names, their bytes, and what becomes of damaged ones."""

import hashlib
import json
import os
import pickle
import re
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from lockstep.errors import DataError, IntegrityError
from lockstep.estimators import MODELS
from lockstep.models import load_model, save_model

ROOT = Path(__file__).parents[1]
TYPES = [(name, task) for name, entry in MODELS.items() for task in entry.estimators]


@pytest.fixture
def saved(tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 3))
    save_model(Ridge().fit(X, X[:, 0]), tmp_path / "m.joblib")
    return tmp_path / "m.joblib"


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def opened(path):
    """The model, its bytes being trusted whatever they are: what a damaged file does when it is opened."""
    return load_model(path, sha256=sha256_of(path))


def test_a_model_comes_back_and_joblib_reads_it_too(saved):
    X = np.random.default_rng(1).normal(size=(5, 3))
    assert opened(saved).predict(X).tolist() == joblib.load(saved).predict(X).tolist()


def test_a_loaded_model_has_the_same_bytes(saved, tmp_path):
    save_model(opened(saved), tmp_path / "again.joblib")
    assert (tmp_path / "again.joblib").read_bytes() == saved.read_bytes()


def test_equal_texts_and_dtypes_are_written_as_one(tmp_path):
    text = "a text that is not interned"
    twin = "".join(text)[:1] + text[1:]
    assert text is not twin
    dtype = np.dtype([("a", "f8")])
    other = pickle.loads(pickle.dumps(dtype))
    assert dtype is not other
    for name, pair in {"one": [text, text, dtype, dtype], "two": [text, twin, dtype, other]}.items():
        save_model(pair, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert opened(tmp_path / "two") == [text, text, dtype, dtype]


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.joblib does not exist\. Run 'dvc repro', which makes it\."):
        load_model(tmp_path / "none.joblib")


def test_a_flipped_bit_is_refused_or_without_effect(saved):
    """A few bits of a zlib stream mean nothing, such as the padding at its end: the content is the same then."""
    data, message = saved.read_bytes(), rf"{saved} is not a model file that Lockstep wrote \(.*\)\. Delete it and run"
    content, refused = zlib.decompress(data), 0
    for bit in range(0, 8 * len(data), 3):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        saved.write_bytes(changed)
        try:
            opened(saved)
        except IntegrityError as error:
            assert re.match(message, str(error), re.DOTALL)
            refused += 1
        else:
            assert zlib.decompressobj().decompress(changed).startswith(content)
    assert refused > 0.95 * 8 * len(data) / 3


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
def test_a_byte_at_the_end_is_refused(saved):
    saved.write_bytes(saved.read_bytes() + b"\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), hard))
    try:
        with pytest.raises(IntegrityError, match=r"\((?!MemoryError)"):
            opened(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:-20], lambda d: d[: len(d) // 2], lambda d: b"text\n"])
def test_a_file_that_was_cut_off_or_is_another_kind(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(IntegrityError, match=r"is not a model file that Lockstep wrote \("):
        opened(saved)


# Trains a model of every type. "other" is a process in which as much as possible is otherwise, as it is between the API
# (trained in one go) and a DVC stage (the preprocessor comes from a file), and between two machines.
TRAIN_ALL = """
import hashlib, json, sys
from pathlib import Path

other, folder, small = sys.argv[1] == "other", Path(sys.argv[2]), json.loads(sys.argv[3])
if other:
    import decimal, logging.config, sqlite3, unittest.mock, xml.dom.minidom
import lockstep
if other:
    import pandas, sklearn.datasets, sklearn.feature_selection, scipy.optimize
import warnings
import numpy as np, pandas as pd
from sklearn.pipeline import Pipeline
from lockstep.estimators import KINDS, MODELS, TrainSettings, build_estimator, fit_estimator
from lockstep.models import load_model, save_model
from lockstep.preprocessing import PreprocessSettings, fit_preprocessor
from lockstep.table import Table

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
number, text = rng.normal(size=200), pd.Series(rng.choice(["lo", "mid", "hi"], 200), dtype="str")
frame = pd.DataFrame({
    "number": np.where(rng.random(200) < 0.1, np.nan, number), "text": text.mask(rng.random(200) < 0.1),
    "flag": pd.Series([True, None, False, True] * 50, dtype="object"), "whole": np.arange(200),
    "many": pd.Series([f"l{i}" for i in rng.integers(0, 60, 200)], dtype="str"),
})
frame.to_pickle(folder / "rows")
signal = number + (text == "hi")
for task in KINDS:
    y = signal if task == "regression" else pd.cut(signal, 3, labels=["lo", "mid", "hi"]).astype("str")
    table = Table(frame.assign(y=y), "y", task)
    for name, entry in MODELS.items():
        if task not in entry.estimators:
            continue
        preprocessor, encoded = fit_preprocessor(table, PreprocessSettings(), entry.scale_free)
        if other:
            save_model(preprocessor, folder / "preprocessor")
            data = (folder / "preprocessor").read_bytes()
            preprocessor = load_model(folder / "preprocessor", sha256=hashlib.sha256(data).hexdigest())
        settings = TrainSettings(model=name, kind=KINDS[task], version=1, hyperparameters=small.get(name, {}))
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, encoded.to_numpy(), table.labels, settings, n_jobs=2 if other else 1)
        model = Pipeline([("preprocess", preprocessor), ("model", estimator)])
        save_model(model, folder / f"{name} {task}")
        (folder / f"{name} {task}.json").write_text(json.dumps(model.predict(frame).tolist()))
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory, small):
    """The folders of two processes that each trained a model of every type."""
    folders = [tmp_path_factory.mktemp(which) for which in ("plain", "other")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN_ALL, which, str(folder), json.dumps(small)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": number, "OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number},
        )
        for which, folder, number in zip(("plain", "other"), folders, "12", strict=True)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return folders


@pytest.mark.parametrize(("model", "task"), TYPES)
def test_every_type_has_the_same_bytes_in_another_process(twice, model, task):
    plain, other = ((folder / f"{model} {task}").read_bytes() for folder in twice)
    assert plain == other


@pytest.mark.parametrize(("model", "task"), TYPES)
def test_every_type_predicts_raw_rows_as_before_when_it_is_loaded(twice, model, task):
    loaded, rows = opened(twice[0] / f"{model} {task}"), pd.read_pickle(twice[0] / "rows")
    assert loaded.predict(rows).tolist() == json.loads((twice[0] / f"{model} {task}.json").read_text())
    assert hasattr(loaded, "classes_") == (task == "classification")
