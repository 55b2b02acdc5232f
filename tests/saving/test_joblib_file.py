"""Model files: their names, their bytes, and what becomes of damaged ones."""

import hashlib
import io
import json
import os
import pickle
import re
import resource
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

from lockstep import load_model
from lockstep.__main__ import main
from lockstep.kernel.errors import DataError, IntegrityError, SettingsError
from lockstep.learning.model_file import sidecar_of
from lockstep.saving.joblib_file import save_model
from lockstep.saving.sidecar import read_about, sidecar
from stages import evaluate

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import Ridge
from small import EACH_TYPE, SMALL
from workspace import ROOT

GZIP = zlib.MAX_WBITS | 16


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


def test_the_compression_is_arrows_own_and_joblib_reads_it(saved):
    """Python's zlib is the system's: zlib here, zlib-ng there, which gives other bytes. Arrow's is in its wheel."""
    data = saved.read_bytes()
    content = zlib.decompress(data, GZIP)
    assert data == pa.Codec("gzip", compression_level=3).compress(content, asbytes=True)
    assert data[4:8] == b"\0\0\0\0"  # no time in it
    assert joblib.hash(joblib.load(saved)) == joblib.hash(opened(saved))
    saved.write_bytes(zlib.compress(content, 3))
    assert joblib.hash(opened(saved)) == joblib.hash(joblib.load(saved))


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"none.joblib does not exist\. Run 'dvc repro', which makes it\."):
        load_model(tmp_path / "none.joblib")


def test_a_flipped_bit_is_refused_or_without_effect(saved):
    """A few bits of a gzip file mean nothing, such as the time in its header: the content is the same then."""
    data, message = saved.read_bytes(), rf"{saved} is not a model file that Lockstep wrote \(.*\)\. Delete it and run"
    content, refused = zlib.decompress(data, GZIP), 0
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
            assert zlib.decompressobj(GZIP).decompress(changed).startswith(content)
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


# Trains a model of each type that it is told. "other" is a process in which as much as possible is otherwise, as it is
# between the API (trained in one go) and a DVC stage (the preprocessor comes from a file), and between two machines.
TRAIN = """
import hashlib, json, sys
from pathlib import Path

other, folder, small, types = sys.argv[1] == "other", Path(sys.argv[2]), *map(json.loads, sys.argv[3:])
if other:
    import decimal, logging.config, sqlite3, unittest.mock, xml.dom.minidom
import lockstep
if other:
    import pandas, sklearn.datasets, sklearn.feature_selection, scipy.optimize
import warnings
import numpy as np, pandas as pd
from sklearn.pipeline import Pipeline
from lockstep.learning.model_types import KINDS, MODELS
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep import load_model
from lockstep.saving.joblib_file import save_model
from lockstep.learning.preprocessing import PreprocessSettings, categories_of, fit_preprocessor
from lockstep.deployment.exchange.skops_file import dumps
from lockstep.tables.table import Table

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
number, text = rng.normal(size=200), pd.Series(rng.choice(["lo", "mid", "hi"], 200), dtype="str")
frame = pd.DataFrame({
    "number": np.where(rng.random(200) < 0.1, np.nan, number), "text": text.mask(rng.random(200) < 0.1),
    "flag": pd.Series([True, None, False, True] * 50, dtype="object"), "whole": np.arange(200),
    "many": pd.Series([f"l{i}" for i in rng.integers(0, 60, 200)], dtype="str"),
    "words": pd.Series([" ".join(rng.permutation(["red", "old", "brick"])[:2]) for _ in range(200)], dtype="str"),
    "order": pd.Series(rng.choice(["low", "middle", "high"], 200), dtype="str").mask(rng.random(200) < 0.1),
})
frame.to_pickle(folder / "rows")
signal = number + (text == "hi")
for task in KINDS:
    y = signal if task == "regression" else pd.cut(signal, 3, labels=["lo", "mid", "hi"]).astype("str")
    table = Table(frame.assign(y=y), "y", task, levels={"order": ["low", "middle", "high"]})
    for name, entry in MODELS.items():
        if [name, task] not in types:
            continue
        native = {"numeric_impute": "native", "encode": "native"} if entry.native_missing else {}
        texts = {"text_columns": ["words"], "text_components": 4}
        preprocess = PreprocessSettings(missing_indicator=True, **texts, **native)
        preprocessor, encoded = fit_preprocessor(table, preprocess, name)
        if other:
            save_model(preprocessor, folder / "preprocessor")
            data = (folder / "preprocessor").read_bytes()
            preprocessor = load_model(folder / "preprocessor", sha256=hashlib.sha256(data).hexdigest())
        settings = TrainSettings(model=name, kind=KINDS[task], version=1, hyperparameters=small.get(name, {}))
        estimator = build_estimator(settings, task)
        categories = categories_of(preprocessor)
        fit_estimator(estimator, EncodedRows(encoded.to_numpy(), table.labels, categories), settings, 2 if other else 1)
        model = Pipeline([("preprocess", preprocessor), ("model", estimator)])
        save_model(model, folder / f"{name} {task}")
        (folder / f"{name} {task}.json").write_text(json.dumps(model.predict(frame).tolist()))
        digest = hashlib.sha256((folder / f"{name} {task}").read_bytes()).hexdigest()
        twin = dumps(load_model(folder / f"{name} {task}", sha256=digest))
        (folder / f"{name} {task}.skops").write_bytes(twin)
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory, exhaustively):
    """The folders of two processes that each trained a model of every type, or of those for every run."""
    types = [type_.values for type_ in EACH_TYPE if exhaustively or not type_.marks]
    folders = [tmp_path_factory.mktemp(which) for which in ("plain", "other")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, which, str(folder), json.dumps(SMALL), json.dumps(types)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": number, "OMP_NUM_THREADS": number, "OPENBLAS_NUM_THREADS": number},
        )
        for which, folder, number in zip(("plain", "other"), folders, "12", strict=True)
    ]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    return folders


@pytest.mark.parametrize(("model", "task"), EACH_TYPE)
def test_every_type_has_the_same_bytes_in_another_process(twice, model, task):
    plain, other = ((folder / f"{model} {task}").read_bytes() for folder in twice)
    assert plain == other


@pytest.mark.parametrize(("model", "task"), EACH_TYPE)
def test_every_type_predicts_raw_rows_as_before_when_it_is_loaded(twice, model, task):
    loaded, rows = opened(twice[0] / f"{model} {task}"), pd.read_pickle(twice[0] / "rows")
    assert loaded.predict(rows).tolist() == json.loads((twice[0] / f"{model} {task}.json").read_text())
    assert hasattr(loaded, "classes_") == (task == "classification")


@pytest.mark.parametrize(("model", "task"), EACH_TYPE)
def test_every_types_skops_twin_has_the_same_bytes_and_predicts_the_same_bits(twice, model, task):
    plain, other = (folder / f"{model} {task}.skops" for folder in twice)
    assert plain.read_bytes() == other.read_bytes()
    loaded, twin, rows = opened(twice[0] / f"{model} {task}"), opened(plain), pd.read_pickle(twice[0] / "rows")
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(loaded, method):
            expected, found = getattr(loaded, method)(rows), getattr(twin, method)(rows)
            assert (found.dtype, found.tolist()) == (expected.dtype, expected.tolist())


class Payload:
    """What unpickling runs, if it comes to that."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.fixture
def repository(tmp_path, monkeypatch, saved):
    """A folder whose dvc.lock records models/p/m.joblib, a Ridge; the path."""
    monkeypatch.chdir(tmp_path)
    model = Path("models/p/m.joblib")
    model.parent.mkdir(parents=True)
    saved.rename(model)
    record(model)
    return model


def record(model, md5=None):
    md5 = md5 or hashlib.md5(model.read_bytes()).hexdigest()
    out = {"path": model.as_posix(), "hash": "md5", "md5": md5, "size": model.stat().st_size}
    lock = {"schema": "2.0", "stages": {"train@p": {"cmd": "x", "outs": [out]}}}
    Path("dvc.lock").write_text(f"{json.dumps(lock)}\n")


def payload(size=0, **how):
    memory = io.BytesIO()
    joblib.dump(Payload(), memory, **how)
    return memory.getvalue().ljust(size, b"\0")


def with_sidecar(model, data):
    """Put ``data`` in the model's place, and a sidecar that agrees with it beside it."""
    model.write_bytes(data)
    sidecar_of(model).write_text(json.dumps(sidecar(data, model.name, {})))


def older(model):
    save_model(Ridge(alpha=9), model)  # as good a file as the recorded one, and its own sidecar with it
    with_sidecar(model, model.read_bytes())


ATTACKS = {
    "a pickle": lambda model: model.write_bytes(pickle.dumps(Payload())),
    "joblib, plain": lambda model: model.write_bytes(payload()),
    "joblib, compressed": lambda model: model.write_bytes(payload(compress=3)),
    "of the same size": lambda model: model.write_bytes(payload(model.stat().st_size, compress=3)),
    "with a sidecar that agrees": lambda model: with_sidecar(model, payload(compress=3)),
    "another model": lambda model: save_model(Ridge(), model),
    "the model of an earlier run": older,
    "cut off": lambda model: model.write_bytes(model.read_bytes()[:-9]),
    "one byte more": lambda model: model.write_bytes(model.read_bytes() + b"\n"),
    "a folder in dvc.lock": lambda model: record(model, "0" * 32 + ".dir"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_dvc_lock_does_not_record_is_not_opened(repository, attack, capsys):
    assert load_model(repository).alpha == 1.0
    assert load_model(repository.absolute()).alpha == 1.0
    ATTACKS[attack](repository)
    assert main(["predict", str(repository), "rows.csv"]) == 3
    assert main(["export", str(repository), "--format", "skops"]) == 3
    message = capsys.readouterr().err
    expected = "records a directory" if "dvc.lock" in attack else "is not the file that dvc.lock records for train@p"
    assert expected in message
    assert "Traceback" not in message
    assert not Path("ran").exists()
    assert not repository.with_suffix(".skops").exists()


@pytest.mark.parametrize("attack", ["joblib, compressed", "another model", "the model of an earlier run"])
def test_the_stages_open_nothing_else_either(repository, attack, capsys):
    train = {"model": "m", "kind": "regressor", "version": 1}
    Path("params.yaml").write_text(json.dumps({"problems": {"p": {"train": train, "evaluate": {}}}}))
    repository.rename("models/p/m_regressor_v1.joblib")
    model = Path("models/p/m_regressor_v1.joblib")
    record(model)
    ATTACKS[attack](model)
    files = ["--metrics", "m.json", "--predictions", "p.parquet", "--plots", "plots"]
    read = ["--models", "models/p", "--test", "test.parquet", "--train", "train.parquet"]
    assert evaluate.main(["--problem", "p", *read, *files]) == 3
    assert "is not the file that dvc.lock records for train@p" in capsys.readouterr().err
    assert not Path("ran").exists()
    assert not Path("m.json").exists()


def test_the_payload_is_a_real_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.joblib").write_bytes(payload(compress=3))
    opened(Path("m.joblib"))
    assert Path("ran").exists()


def test_a_file_that_nothing_records_needs_a_sidecar_or_the_users_word(saved):
    digest = sha256_of(saved)
    with pytest.raises(IntegrityError, match=r"is recorded nowhere: .* no sidecar m.joblib.json .* --sha256 HEX"):
        load_model(saved)
    assert load_model(str(saved), sha256=digest.upper()).alpha == 1.0
    with pytest.raises(IntegrityError, match=rf"has another SHA-256 than the one given: {digest}\. It was not opened"):
        load_model(saved, sha256="0" * 64)
    with pytest.raises(SettingsError, match="'abc' is not a SHA-256"):
        load_model(saved, sha256="abc")
    with_sidecar(saved, saved.read_bytes())
    assert load_model(saved).alpha == 1.0
    save_model(Ridge(alpha=2), saved)
    with pytest.raises(IntegrityError, match=r"is not the file that its sidecar m\.joblib\.json describes"):
        load_model(saved)
    for content in ("", "[]", "{}", "[" * 9999, '{"sha256": 1}'):
        sidecar_of(saved).write_text(content)
        with pytest.raises(IntegrityError, match="sidecar"):
            load_model(saved)


def test_a_pipe_or_a_folder_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "pipe.joblib")
    for path in (tmp_path, tmp_path / "pipe.joblib", Path("/dev/zero")):
        with pytest.raises(DataError, match="is not a regular file"):
            load_model(path)


def test_a_sidecar_says_how_the_model_came_about(tmp_path):
    about = {
        "rows": np.int64(3),
        "share": float("nan"),
        "shape": (1, 2),
        "kernel": np.dot,
        "on": np.bool(True),
        "no": None,
    }
    found = sidecar(b"model", "m.joblib", about)
    assert found["sha256"] == hashlib.sha256(b"model").hexdigest()
    assert list(found["libraries"]) == ["joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy"]
    expected = {"rows": 3, "share": "nan", "shape": [1, 2], "kernel": "numpy.dot", "on": True, "no": None}
    (tmp_path / "m.joblib.json").write_text(json.dumps(found))
    (tmp_path / "m.joblib").write_bytes(b"model")
    assert read_about(tmp_path / "m.joblib") == expected
    (tmp_path / "m.joblib").write_bytes(b"another")
    with pytest.raises(IntegrityError, match=r"is not the file that its sidecar m\.joblib\.json describes"):
        read_about(tmp_path / "m.joblib")


def test_dvc_delivers_a_tampered_model_and_it_is_not_opened(tmp_path, monkeypatch, capsys):
    """From a remote without `verify`: DVC says that all is well. With it, nothing is delivered."""

    def run(*command, code=0):
        command = [sys.executable, "-m", *command]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    environment = {name: value for name, value in os.environ.items() if not name.startswith("DVC_")}
    environment |= {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
    folder, remote = tmp_path / "repository", tmp_path / "remote"
    folder.mkdir()
    monkeypatch.chdir(folder)
    X = np.random.default_rng(0).normal(size=(50, 3))
    save_model(Ridge().fit(X, X[:, 0]), Path("made"))
    Path("dvc.yaml").write_text("stages: {train: {cmd: cp made m.joblib, deps: [made], outs: [m.joblib]}}\n")
    run("dvc", "init", "-q", "--no-scm")
    run("dvc", "remote", "add", "-q", "-d", "r", str(remote))
    run("dvc", "repro", "-q")
    run("dvc", "push", "-q")
    assert load_model("m.joblib").alpha == 1.0
    md5 = hashlib.md5(Path("m.joblib").read_bytes()).hexdigest()
    stored = remote / "files/md5" / md5[:2] / md5[2:]
    stored.chmod(0o644)
    stored.write_bytes(payload(stored.stat().st_size, compress=3))
    stored.chmod(0o444)  # the mode by which DVC believes an object
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(tmp_path / "site")
    Path("m.joblib").unlink()
    run("dvc", "pull", "-q")
    assert "up to date" in run("dvc", "status")
    assert main(["predict", "m.joblib", "rows.csv"]) == 3
    assert "is not the file that dvc.lock records for train" in capsys.readouterr().err
    assert not Path("ran").exists()
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(tmp_path / "site")
    Path("m.joblib").unlink()
    run("dvc", "remote", "modify", "-q", "r", "verify", "true")
    run("dvc", "pull", "-q", code=1)
    assert not Path("m.joblib").exists()
