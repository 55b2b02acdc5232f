"""The same bits on every processor with AVX2 and FMA, for any number of threads: simulated, and the pinning itself."""

import json
import os
import platform
import subprocess
import sys
from functools import cache

from lockstep.kernel import portable
from lockstep.kernel.portable import PINNED, fixed_threads, pin, processor_flags, shortcoming
from lockstep.learning.estimators import EncodedRows, build_estimator, fit_estimator
from lockstep.learning.model_types import MODELS

import numpy as np
import pytest
from small import SMALL
from workspace import OLD_KERNELS, ROOT

# Runs the model types that it is told, both tasks, through the API on a small table, and linear ones on a tall one;
# prints the MD5 of every output. The table is made without sums, so that it is itself the same everywhere.
WORK = """
import hashlib, json, sys, tempfile, warnings
from pathlib import Path
if sys.argv[1] == "unpinned":
    import numpy  # first, as lockstep says not to
import lockstep
import numpy as np, pandas as pd
from lockstep.learning.model_types import MODELS
from lockstep.learning import estimators
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.api import ModelConfig, run_pipeline
from lockstep.kernel.portable import shortcoming
from lockstep.learning.scoring import predict

warnings.simplefilter("ignore")
estimators.THREADS_PAY = 0  # so few rows would have one thread
models, small = json.loads(sys.argv[2]), json.loads(sys.argv[3])
random = np.random.default_rng(0)
rows, found = 300, {}
frame = pd.DataFrame({f"x{i}": random.random(rows) for i in range(5)})
frame["text"], frame["many"] = random.choice(list("abcdef"), rows), [f"k{i}" for i in random.integers(0, 40, rows)]
label = np.where(frame.x0 + frame.x1 > 1.2, "high", np.where(frame.x2 > 0.4, "middle", "low"))
value = frame.x0 * 100 + frame.x1 * 10 + frame.x2
frame["words"] = [f"{a} {b}{c} {c}" for a, b, c in random.choice(["red", "old", "brick", "house", "wall"], (rows, 3))]
frame.loc[random.random(rows) < 0.1, "x3"] = np.nan
tables = {"classification": frame.assign(target=label), "regression": frame.assign(price=value)}
pairs = [(model, task) for model in models for task in MODELS[model].estimators]
for model, task in pairs:
    calibrated = {"train": {"calibrate": "temperature"}} if (model, task) == ("voting", "classification") else {}
    native = {"numeric_impute": "native", "encode": "native"} if MODELS[model].native_missing else {}
    with tempfile.TemporaryDirectory() as folder:
        config = ModelConfig(
            model, task, small.get(model, {}), preprocess={"max_levels": 10, "text_columns": ["words"], **native},
            cross_validate={"folds": 2},
            split={"validation_size": 0.2}, evaluate={"importance_repeats": 1}, models=folder, logs=folder,
            **calibrated,
        )
        result = run_pipeline(tables[task], config)
        for path in sorted(Path(folder).iterdir()):
            if path.suffix != ".log":
                found[f"{path.name} {task}"] = hashlib.md5(path.read_bytes()).hexdigest()
        found[f"{model} {task} folds"] = json.dumps(result.cross_validation)
        found[f"{model} {task} predictions"] = hashlib.md5(result.predictions.to_csv().encode()).hexdigest()

# Tall products, and many equally distant neighbours: what depends on the number of threads.
X = random.random((30_000, 32))
for model in ("linear_regression", "ridge"):
    settings = TrainSettings(model=model, kind="regressor", version=1)
    estimator = build_estimator(settings, "regression")
    fit_estimator(estimator, EncodedRows(X, X[:, 0] + X[:, 1] * X[:, 2]), settings, n_jobs=-1)
    found[f"{model} tall"] = hashlib.md5(estimator.coef_.tobytes()).hexdigest()
settings = TrainSettings(model="k_neighbors", kind="regressor", version=1)
estimator = build_estimator(settings, "regression")
ties = random.integers(0, 3, (3_000, 20)).astype(float)
fit_estimator(estimator, EncodedRows(ties, random.random(3_000)), settings, n_jobs=-1)
again = random.integers(0, 3, (300, 20)).astype(float)
found["k_neighbors ties"] = hashlib.md5(predict(estimator, again, "regression").values.tobytes()).hexdigest()
print(json.dumps({"why": shortcoming(), "found": found}))
"""
OLDER = "an older processor's kernels, another C library's choices, and all that is not the processor"
SIMULATED = {
    OLDER: OLD_KERNELS | {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-ERMS",
        "OMP_NUM_THREADS": "1", "LOKY_MAX_CPU_COUNT": "1", "OPENBLAS_NUM_THREADS": "2", "PYTHONHASHSEED": "7",
        "TZ": "Asia/Kathmandu", "LANG": "tr_TR.UTF-8", "LC_ALL": "C",
    },
    "a newer processor's kernels": {
        "OPENBLAS_CORETYPE": "SkylakeX", "NPY_DISABLE_CPU_FEATURES": "AVX512_SPR", "ARROW_USER_SIMD_LEVEL": "NONE",
        "OMP_NUM_THREADS": "7", "LOKY_MAX_CPU_COUNT": "7",
    },
}  # fmt: skip
PRODUCTS = ("logistic_regression", "linear_regression", "ridge", "mlp")
"""The model types whose products of matrices come out differently on other processors, were it not for the pinning."""
OF_ALL_LIBRARIES = {
    "members": [
        {"model": "hist_gradient_boosting", "max_iter": 8, "max_features": 0.5},
        {"model": "lightgbm", "n_estimators": 8, "subsample": 0.8, "subsample_freq": 1},
        {"model": "lightgbm", "n_estimators": 8, "extra_trees": True, "colsample_bytree": 0.5},
        {"model": "extra_trees", "n_estimators": 8, "max_features": 1.0},
        {"model": "xgboost", "n_estimators": 8},
    ],
    "folds": 3,
}
"""A vote of all that the votes which add writes are made of, and more."""
UNFIT = portable._unfit()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the promise is for Linux")
simulations = pytest.mark.skipif(UNFIT is not None, reason=f"no processor can be simulated here: {UNFIT}")


@cache
def outputs(models, pinned=True, variables=()):
    """{output: its bytes' digest} of the work with these model types, in a process with these variables."""
    own = {**PINNED, **SIMULATED[OLDER]}
    clean = {name: value for name, value in os.environ.items() if name not in own}
    arguments = (
        "pinned" if pinned else "unpinned",
        json.dumps(models),
        json.dumps(SMALL | {"voting": OF_ALL_LIBRARIES}),
    )
    done = subprocess.run(
        [sys.executable, "-c", WORK, *arguments],
        cwd=ROOT, env=clean | dict(variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["why"] is None) == pinned, result["why"]
    return result["found"]


@simulations
@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("machine", SIMULATED.values(), ids=SIMULATED)
def test_every_output_of_every_model_type_is_the_same(machine):
    here, there = outputs(tuple(MODELS)), outputs(tuple(MODELS), variables=tuple(machine.items()))
    assert len(here) == 7 * sum(len(entry.estimators) for entry in MODELS.values()) + 3
    assert [name for name in here if here[name] != there[name]] == []


@simulations
@pytest.mark.slow
@pytest.mark.exhaustive
def test_without_the_pinning_they_differ():
    """The twin, which shows that the test above can fail: models, metrics and predictions of other kernels differ, and
    those of another number of threads.
    """

    def unpinned(**variables):
        return outputs(PRODUCTS, pinned=False, variables=tuple(variables.items()))

    plain = unpinned(OMP_NUM_THREADS="1", OPENBLAS_CORETYPE="Haswell")
    old = unpinned(OMP_NUM_THREADS="1", **OLD_KERNELS)
    different = {name for name in plain if plain[name] != old[name]}
    for model in PRODUCTS:
        assert any(name.startswith(model) and ".joblib" in name for name in different), (model, sorted(different))
    assert any("metrics" in name for name in different)
    assert any("predictions" in name for name in different)
    if (os.cpu_count() or 1) > 1:
        threads = unpinned(OMP_NUM_THREADS="2", OPENBLAS_CORETYPE="Haswell")
        assert plain["linear_regression tall"] != threads["linear_regression tall"]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_saved_models_carry_no_thread_count(make_settings):
    X = np.random.default_rng(0).random((60, 4))
    for model, entry in MODELS.items():
        for task in entry.estimators:
            settings = make_settings(model, task)
            estimator = build_estimator(settings, task)
            y = X[:, 0] > 0.5 if task == "classification" else X[:, 0]
            fit_estimator(estimator, EncodedRows(X, y), settings, n_jobs=2)
            assert getattr(estimator, "n_jobs", None) == entry.fixed.get("n_jobs"), model
            if hasattr(estimator, "_bin_mapper"):
                assert estimator._bin_mapper.n_threads == 1


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Let the processor be another one."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(portable, "_CPUINFO", str(path))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def write(flags):
        path.write_text(f"processor\t: 0\nmodel name\t: toy\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: none\n")

    return write


def test_a_processor_without_avx2_is_told_and_not_pinned(cpuinfo, monkeypatch):
    """The kernels that are pinned would be illegal instructions there."""
    cpuinfo("fpu sse2 avx fma bmi1 bmi2 f16c abm movbe")
    for name in PINNED:
        monkeypatch.delenv(name, raising=False)
    assert processor_flags() == {"fpu", "sse2", "avx", "fma", "bmi1", "bmi2", "f16c", "abm", "movbe"}
    assert pin() is False
    assert not PINNED.keys() & os.environ.keys()
    assert shortcoming() == "the processor lacks avx2, which x86-64 processors have since 2013"


def test_a_processor_with_all_of_it_and_one_that_cannot_be_looked_at(cpuinfo, monkeypatch):
    cpuinfo("avx2 fma bmi1 bmi2 f16c abm movbe avx512f")
    assert shortcoming() is None
    monkeypatch.setattr(portable, "_CPUINFO", "/nowhere")
    assert shortcoming() is None


def test_other_architectures_and_systems_are_told(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert shortcoming() == "the processor is of the architecture aarch64, not x86-64"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert shortcoming() in (UNFIT, "Darwin computes with other mathematical libraries than Linux")


@simulations
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Arrow has what it has by itself")
def test_arrow_gives_back_what_reading_a_table_took_unless_another_allocator_is_asked_for():
    for asked, expected in (({}, "jemalloc"), ({"ARROW_DEFAULT_MEMORY_POOL": "system"}, "system")):
        environment = {name: value for name, value in os.environ.items() if name != "ARROW_DEFAULT_MEMORY_POOL"} | asked
        code = "import lockstep, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_numpy_before_lockstep_is_told(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    assert shortcoming() == "NumPy was imported before lockstep: import lockstep first"


def test_stages_and_api_say_so_once_in_the_log(monkeypatch, tmp_path, caplog):
    import argparse

    from lockstep import api
    from lockstep.kernel import stage

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("problems: {toy: {}}\n")
    for module in (stage, api):
        monkeypatch.setattr(module, "shortcoming", lambda: "the processor is a toy")
    arguments = argparse.Namespace(problem="toy", params=tmp_path / "params.yaml")
    assert stage.run_stage("load", arguments, lambda problem, args, outputs: None) == 0
    said = "the last bits of results may be others than on other machines: the processor is a toy"
    assert [record.getMessage() for record in caplog.records].count(said) == 1
    caplog.clear()
    with pytest.raises(ValueError, match="does not exist"):
        api.run_pipeline("nothing.csv", api.ModelConfig())
    assert [record.getMessage() for record in caplog.records].count(said) == 1


def test_workers_inherit_the_pinning():
    code = (
        "import lockstep, joblib\n"
        "from threadpoolctl import threadpool_info\n"
        "def look():\n"
        "    import numpy\n"
        "    return {(i['architecture'], i['num_threads']) for i in threadpool_info() if i['user_api'] == 'blas'}\n"
        "print(joblib.Parallel(n_jobs=2, backend='loky')(joblib.delayed(look)() for _ in range(2))[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{('Haswell', 1)}" or UNFIT is not None


def test_only_nearest_neighbours_lose_their_threads():
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_info

    def threads():
        return [entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "openmp"]

    before = threads()
    with fixed_threads(make_pipeline(StandardScaler(), KNeighborsRegressor())):
        assert set(threads()) == {1}
    with fixed_threads(Ridge()):
        assert threads() == before
    assert threads() == before
