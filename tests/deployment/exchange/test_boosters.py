"""Models of LightGBM and XGBoost as skops files: the same bits, the same bytes, and tampered ones refused before the
libraries' own parsers see them."""

import contextlib
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import tracemalloc
import zipfile

from lockstep.deployment.exchange import boosters
from lockstep.deployment.exchange.skops_file import ALLOWED, dumps, loads
from lockstep.kernel.errors import IntegrityError, SettingsError
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.learning.model_types import KINDS

import numpy as np
import pytest
from lightgbm import LGBMRegressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skops import io as skops_io
from workspace import ROOT
from xgboost import XGBRegressor

LIBRARIES = ("lightgbm", "xgboost")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4))
X[RNG.random(X.shape) < 0.1] = np.nan
X[:, 2] = RNG.integers(0, 12, len(X))
SIGNAL = np.isin(X[:, 2], [1, 3, 5, 8]) + RNG.normal(size=len(X)) / 3
TARGETS = {
    "regression": SIGNAL,
    "two classes": np.array(["no", "yes"])[(SIGNAL > 0.4).astype(int)],
    "three classes": np.array(["lo", "mid", "hi"])[np.digitize(SIGNAL, [0.2, 0.7])],
    "classes that are numbers": np.digitize(SIGNAL, [0.4]),
    "one value": np.full(len(X), 1.5),
}


def fitted(model, target, **hyperparameters):
    """An estimator fitted to columns that miss values, and to one of codes of categories."""
    task = "regression" if target in ("regression", "one value") else "classification"
    settings = TrainSettings(
        model=model, kind=KINDS[task], version=1, hyperparameters={"n_estimators": 4, **hyperparameters}
    )
    estimator = build_estimator(settings, task)
    fit_estimator(estimator, EncodedRows(X, TARGETS[target], [2]), settings, n_jobs=1)
    return estimator


def outputs(model):
    """The bits of all that a model predicts."""
    methods = [name for name in ("predict", "predict_proba") if hasattr(model, name)]
    return [np.asarray(getattr(model, name)(X)).tolist() for name in methods]


def comes_back(model):
    """Whether a model predicts the same bits, and has the same bytes, after it was written and read."""
    data = dumps(model)
    loaded = loads(data, "m")
    assert outputs(loaded) == outputs(model)
    assert dumps(model) == dumps(loaded) == dumps(pickle.loads(pickle.dumps(model))) == data
    again = pickle.loads(pickle.dumps(loaded))
    assert (outputs(again), dumps(again)) == (outputs(model), data)


VARIANTS = [
    *((library, target, {}) for library in LIBRARIES for target in TARGETS),
    ("lightgbm", "regression", {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1}),
    ("lightgbm", "regression", {"boosting_type": "dart", "extra_trees": True, "objective": "regression_l1"}),
    ("lightgbm", "two classes", {"objective": "cross_entropy", "num_leaves": 4}),
    ("xgboost", "three classes", {"num_parallel_tree": 2, "subsample": 0.5}),
    ("xgboost", "regression", {"objective": "reg:absoluteerror", "max_leaves": 4, "grow_policy": "lossguide"}),
    ("xgboost", "two classes", {"objective": "binary:logitraw", "gamma": 1.0, "eval_metric": ["auc", "error@0.7"]}),
    ("xgboost", "regression", {"interaction_constraints": "[[0,1],[2,3]]"}),
]


@pytest.mark.parametrize(("library", "target", "hyperparameters"), VARIANTS)
def test_each_comes_back_to_the_bit(library, target, hyperparameters):
    comes_back(fitted(library, target, **hyperparameters))


def test_what_is_tested_has_splits_by_category():
    one, other = (dumps(fitted(library, "regression")) for library in LIBRARIES)
    assert re.search(r"num_cat=[1-9]", text_of(one))
    assert any(len(tree["categories"]) for tree in trees_of(model_of(other)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_the_trees_say_of_rows_is_the_same(library):
    model = fitted(library, "regression")
    told = {"lightgbm": lambda m: m.predict(X, pred_contrib=True), "xgboost": lambda m: m.apply(X)}[library]
    np.testing.assert_array_equal(told(loads(dumps(model), "m")), told(model))


def test_they_come_back_as_parts_of_other_models():
    members = [{"model": name, "n_estimators": 3} for name in ("lightgbm", "xgboost")]
    hyperparameters = {"members": [*members, {"model": "hist_gradient_boosting", "max_iter": 3}], "folds": 0}
    settings = TrainSettings(model="voting", kind="classifier", version=1, hyperparameters=hyperparameters)
    vote = build_estimator(settings, "classification")
    fit_estimator(vote, EncodedRows(X, TARGETS["two classes"], [2]), settings, n_jobs=1)
    comes_back(vote)
    y = TARGETS["two classes"]
    for library in LIBRARIES:
        model = fitted(library, "two classes")
        calibrated = CalibratedClassifierCV(FrozenEstimator(model)).fit(X, y)
        comes_back(FixedThresholdClassifier(FrozenEstimator(calibrated), threshold=0.3, pos_label="yes").fit(X, y))
        comes_back(Pipeline([("scale", StandardScaler().fit(X)), ("model", model)]))


IN_ANOTHER = """
import pickle, sys
from lockstep.deployment.exchange.skops_file import dumps
sys.stdout.buffer.write(pickle.dumps([dumps(model) for model in pickle.load(sys.stdin.buffer)]))
"""


@pytest.mark.exhaustive
def test_another_process_with_other_threads_writes_the_same_bytes():
    models = [fitted(library, "three classes") for library in LIBRARIES]
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER],
        input=pickle.dumps(models),
        capture_output=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "3", "PYTHONHASHSEED": "5"},
        check=True,
    )
    assert pickle.loads(done.stdout) == [dumps(model) for model in models]


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_file_is_one_for_skops_alone_too(library):
    model = fitted(library, "two classes")
    trusted = [name for names in ALLOWED.values() for name in names]
    assert outputs(skops_io.loads(dumps(model), trusted=trusted)) == outputs(model)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (LGBMRegressor(n_estimators=2, verbosity=-1, linear_tree=True), "LGBMRegressor whose linear_tree is of a form"),
        (XGBRegressor(n_estimators=2, booster="gblinear"), "XGBoost without trees"),
        (XGBRegressor(n_estimators=2, booster="dart"), r"its models of trees \(gbtree\) do not have"),
        (XGBRegressor(n_estimators=2, objective="survival:cox"), "XGBoost of another objective"),
    ],
)
def test_what_no_model_type_makes_cannot_be_written(model, said):
    model.fit(np.nan_to_num(X), SIGNAL + 3)
    with pytest.raises(SettingsError, match=rf"as a skops file: .*{said}.*\. Use its \.joblib file"):
        dumps(model)


# Taking files apart and putting them together again.


def files_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files):
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


def state_of(schema):
    return schema["content"]["content"]


def booster_of(schema):
    return state_of(schema)["_Booster"]["content"]["content"]


def text_of(data):
    return json.loads(booster_of(json.loads(files_of(data)["schema.json"]))["_handle"]["content"])


def with_text(data, text):
    files = files_of(data)
    schema = json.loads(files["schema.json"])
    booster_of(schema)["_handle"]["content"] = json.dumps(text)
    return packed(files | {"schema.json": json.dumps(schema)})


def with_state(data, key, value):
    files = files_of(data)
    schema = json.loads(files["schema.json"])
    state_of(schema)[key]["content"] = f" {json.dumps(value)}"  # a list, too, which a space would hide
    return packed(files | {"schema.json": json.dumps(schema)})


def handle_of(data):
    return next(content for name, content in files_of(data).items() if name.endswith(".bin"))


def with_handle(data, handle):
    return packed({name: handle if name.endswith(".bin") else content for name, content in files_of(data).items()})


def model_of(data):
    return boosters._value(boosters.model_in(handle_of(data))[0], 0)[0]


def trees_of(model):
    return model["learner"]["gradient_booster"]["model"]["trees"]


def ubjson(value):
    """The opposite of boosters._value."""

    def text(words):
        return b"L" + struct.pack(">q", len(words)) + words.encode()

    match value:
        case bool():
            return b"T" if value else b"F"
        case str():
            return b"S" + text(value)
        case int():
            fits = next(kind for kind in "bhiq" if abs(value) < 1 << 8 * struct.calcsize(kind) - 1 and value != 127)
            return {"b": b"i", "h": b"I", "i": b"l", "q": b"L"}[fits] + struct.pack(f">{fits}", value)
        case dict():
            return b"{" + b"".join(text(key) + ubjson(item) for key, item in value.items()) + b"}"
        case list():
            return b"[#L" + struct.pack(">q", len(value)) + b"".join(map(ubjson, value))
    kind = {dtype: marker for marker, dtype in boosters._DTYPES.items()}[value.dtype.str.replace("|", ">")]
    return b"[$" + kind + b"#L" + struct.pack(">q", len(value)) + value.tobytes()


def with_model(data, model):
    handle = handle_of(data)
    return with_handle(data, handle[: handle.index(boosters.model_in(handle)[0])] + ubjson(model) + b"}")


@pytest.fixture(scope="module")
def lightgbm_file():
    return dumps(fitted("lightgbm", "regression"))


@pytest.fixture(scope="module")
def xgboost_file():
    return dumps(fitted("xgboost", "regression"))


@pytest.fixture
def unseen(monkeypatch):
    """Fails where a library is given anything."""

    def fail(*_, **__):
        raise AssertionError("a parser was given what is not checked")

    monkeypatch.setattr(skops_io, "loads", fail)
    monkeypatch.setattr(boosters, "whole_model", fail)


def refused(data):
    with pytest.raises(IntegrityError, match=r"^m is not a skops file that Lockstep wrote: (?!AssertionError)") as said:
        loads(data, "m")
    return str(said.value)


def test_the_parts_of_a_file_alone_make_it_again(lightgbm_file, xgboost_file):
    """Else the tests below would be refused for how they pack it."""
    for data, again in (
        (lightgbm_file, with_text(lightgbm_file, resized(text_of(lightgbm_file)))),
        (xgboost_file, with_model(xgboost_file, model_of(xgboost_file))),
    ):
        assert outputs(loads(again, "m")) == outputs(loads(data, "m"))


def resized(text):
    """The text with the sizes of its trees as they are."""
    trees = re.findall(r"Tree=\d+\n(?:.+\n)*\n\n", text)
    return re.sub(r"tree_sizes=.*", "tree_sizes=" + " ".join(str(len(tree)) for tree in trees), text)


def first(key, change):
    """Changes what stands in the first line of this key."""

    def changed(text):
        return re.sub(rf"^{key}=(.*)$", lambda found: f"{key}={change(found[1])}", text, count=1, flags=re.MULTILINE)

    return changed


def place(number, value):
    """Changes a number of a line."""

    def changed(line):
        items = line.split(" ")
        items[number] = str(value)
        return " ".join(items)

    return changed


TEXTS = {
    "a child that is not there": first("left_child", place(0, 99)),
    "a cycle": first("right_child", place(1, 0)),
    "a child of two": lambda text: first("left_child", place(0, 2))(first("right_child", place(0, 2))(text)),
    "a leaf that is not there": first("left_child", lambda line: re.sub(r"-\d+", "-999", line, count=1)),
    "a leaf of two": first("left_child", lambda line: re.sub(r"-\d+", "-1", line)),
    "a feature that is not there": first("split_feature", place(0, 4)),
    "a feature below zero": first("split_feature", place(0, -1)),
    "fewer features": first("max_feature_idx", lambda _: "1"),
    "another decision": first("decision_type", place(0, 64)),
    "a set that is not there": first("threshold", lambda line: re.sub(r"(?<= )0(?= )|^0(?= )", "99", line, count=1)),
    "bounds of sets too far": first("cat_boundaries", place(-1, 10**6)),
    "bounds of sets below zero": first("cat_boundaries", place(0, -5)),
    "a set of too much": first("cat_threshold", place(0, 1 << 32)),
    "many leaves": first("num_leaves", lambda _: "999999999"),
    "no leaves": first("num_leaves", lambda _: "0"),
    "negative leaves": first("num_leaves", lambda _: "-5"),
    "fewer leaves": first("num_leaves", lambda line: str(int(line) - 1)),
    "many sets": first("num_cat", lambda _: "999999999"),
    "a number too few": first("threshold", lambda line: line.rpartition(" ")[0]),
    "a number too many": first("leaf_value", lambda line: f"{line} 1"),
    "words": first("leaf_value", place(0, "one")),
    "linear trees": first("is_linear", lambda _: "1"),
    "a line too few": lambda text: re.sub(r"shrinkage=.*\n", "", text, count=1),
    "a line too many": lambda text: text.replace("is_linear=0\n", "is_linear=0\nextra=1\n", 1),
    "a line twice": lambda text: text.replace("is_linear=0\n", "is_linear=0\nis_linear=0\n", 1),
    "a line without a value": lambda text: text.replace("is_linear=0\n", "is_linear\n", 1),
    "more classes": first("num_class", lambda _: "7"),
    "more trees at once": first("num_tree_per_iteration", lambda _: "2"),
    "no trees at once": first("num_tree_per_iteration", lambda _: "0"),
    "an objective of classes": first("objective", lambda _: "multiclass num_class:9"),
    "an unknown objective": first("objective", lambda _: "lambdarank"),
    "names of its own": first("feature_names", place(0, "x")),
    "parameters": lambda text: f"{text}\nparameters:\n[linear_tree: 1]\nend of parameters\n",
    "no end": lambda text: text.replace("end of trees", ""),
    "a tree too few": lambda text: re.sub(r"Tree=1\n(?:.+\n)*\n\n", "", text),
    "cut off": lambda text: text[: len(text) // 2],
    "another version": first("version", lambda _: "v3"),
    "digits of another script": first(
        "num_leaves", lambda line: line.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    ),
    "a letter": lambda text: text.replace("num_leaves", "num_l\u00e9aves", 1),
    "an end of line of another kind": lambda text: text.replace("num_cat", "\rnum_cat", 1),
    "nothing": lambda _: "",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_lightgbm_would_trust_is_refused_unseen(lightgbm_file, unseen, name):
    text = text_of(lightgbm_file)
    changed = TEXTS[name](text)
    assert changed != text
    for given in (changed, resized(changed)):
        assert "it holds a model of L" in refused(with_text(lightgbm_file, given))


@pytest.mark.parametrize("sizes", ["1", "999999999 1 1 1", "-1 1 1 1", "0 0 0 0", ""])
def test_so_is_one_whose_trees_have_other_sizes(lightgbm_file, unseen, sizes):
    changed = first("tree_sizes", lambda _: sizes)(text_of(lightgbm_file))
    assert "LightGBM" in refused(with_text(lightgbm_file, changed))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_jobs", 10**6),
        ("n_jobs", "0 predict_disable_shape_check=true"),
        ("boosting_type", "gbdt predict_disable_shape_check=true"),
        ("boosting_type", ["gbdt predict_disable_shape_check=true"]),
        ("_objective", "regression\nnum_threads=9"),
        ("_n_classes", 3),
    ],
)
def test_what_an_estimator_would_tell_lightgbm_is_refused_unseen(lightgbm_file, unseen, key, value):
    assert re.search("LGBMRegressor|JsonNode", refused(with_state(lightgbm_file, key, value)))


@pytest.mark.parametrize("known", ["max_depth", "deterministic"])
def test_a_parameter_that_is_not_known_is_refused_unseen(lightgbm_file, unseen, known):
    """max_depth is an attribute; deterministic is in _other_params, too, which stand first."""
    files = files_of(lightgbm_file)
    changed = files["schema.json"].replace(f'"{known}"'.encode(), b'"predict_disable_shape_check"', 1)
    assert "LGBMRegressor" in refused(packed(files | {"schema.json": changed}))


def tree(key, number, value):
    """Changes a number in the first tree's array of this name."""

    def change(model):
        array = trees_of(model)[0][key].copy()
        array[number] = value
        trees_of(model)[0][key] = array

    return change


def at(*path, value):
    """Sets what stands at this path."""

    def change(model):
        where = model
        for part in path[:-1]:
            where = where[part]
        where[path[-1]] = value(where[path[-1]]) if callable(value) else value

    return change


def in_tree(*path, value):
    return lambda model: at(*path, value=value)(trees_of(model)[0])


CONTENT = ("learner", "gradient_booster", "model")
SHAPE = ("learner", "learner_model_param")
MODELS = {
    "a child that is not there": tree("left_children", 0, 10**6),
    "a cycle": tree("right_children", 2, 0),
    "a node's own child": tree("left_children", 1, 1),
    "half a split": tree("left_children", 0, -1),
    "a child of two": tree("left_children", 0, 2),
    "a child below zero": tree("left_children", 0, -7),
    "another parent": tree("parents", 3, 2),
    "a root with a parent": tree("parents", 0, 5),
    "a feature that is not there": tree("split_indices", 0, 4),
    "a feature below zero": tree("split_indices", 0, -1),
    "another kind of split": tree("split_type", 1, 2),
    "a leaf by category": tree("split_type", -1, 1),
    "another default": tree("default_left", 0, 2),
    "categories of another node": tree("categories_nodes", 0, 999),
    "a category below zero": tree("categories", 0, -1),
    "a category too high": tree("categories", slice(None), (1 << 31) - 1),
    "a segment elsewhere": tree("categories_segments", 0, 50),
    "a segment too long": tree("categories_sizes", 0, 50),
    "a segment of nothing": tree("categories_sizes", 0, 0),
    "a number too few": in_tree("split_conditions", value=lambda array: array[1:]),
    "a number of another type": in_tree("split_conditions", value=lambda array: array.astype(">i4")),
    "many nodes": in_tree("tree_param", "num_nodes", value="999999999"),
    "a leaf of several": in_tree("tree_param", "size_leaf_vector", value="3"),
    "a tree of more features": in_tree("tree_param", "num_feature", value="99"),
    "deleted nodes": in_tree("tree_param", "num_deleted", value="1"),
    "another tree's number": in_tree("id", value=1),
    "an unknown key of a tree": in_tree("zzz", value=1),
    "no nodes": lambda model: trees_of(model)[0].update({key: trees_of(model)[0][key][:0] for key in boosters._ARRAYS}),
    "many trees": at(*CONTENT, "gbtree_model_param", "num_trees", value="999999999"),
    "many trees at once": at(*CONTENT, "gbtree_model_param", "num_parallel_tree", value="3"),
    "no trees at once": at(*CONTENT, "gbtree_model_param", "num_parallel_tree", value="0"),
    "a tree too few": at(*CONTENT, "trees", value=lambda trees: trees[:-1]),
    "trees of another class": at(*CONTENT, "tree_info", value=[0, 0, 0, 7]),
    "iterations too far": at(*CONTENT, "iteration_indptr", value=[0, 1, 2, 3, 99]),
    "names of categories": at(*CONTENT, "cats", "enc", value=[{}]),
    "dart": at("learner", "gradient_booster", "name", value="dart"),
    "many classes": at(*SHAPE, "num_class", value="9"),
    "fewer features": at(*SHAPE, "num_feature", value="1"),
    "features below zero": at(*SHAPE, "num_feature", value="-1"),
    "several targets": at(*SHAPE, "num_target", value="2"),
    "several base scores": at(*SHAPE, "base_score", value="[1E0,2E0]"),
    "words for a base score": at(*SHAPE, "base_score", value="one"),
    "an unknown objective": at("learner", "objective", value={"name": "rank:ndcg"}),
    "an objective of classes": at(
        "learner", "objective", value={"name": "multi:softprob", "softmax_multiclass_param": {"num_class": "3"}}
    ),
    "attributes": at("learner", "attributes", value={"best_iteration": "99"}),
    "types of other features": at("learner", "feature_types", value=["q"]),
    "a key too few": lambda model: model["learner"].pop("objective"),
    "another version": at("version", value=[0, 1, 1]),
    "a text for a list": at(*CONTENT, "tree_info", value="0000"),
    "a list for a text": at(*SHAPE, "num_feature", value=[4]),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_xgboost_would_trust_is_refused_unseen(xgboost_file, unseen, name):
    model = model_of(xgboost_file)
    MODELS[name](model)
    assert "a model of" in refused(with_model(xgboost_file, model))


def length(words, size):
    """Gives a text another length."""
    return lambda handle: handle.replace(struct.pack(">q", len(words)) + words, struct.pack(">q", size) + words, 1)


HANDLES = {
    "cut off": lambda handle: handle[: len(handle) // 2],
    "cut off at its end": lambda handle: handle[:-1],
    "longer": lambda handle: handle + b"}",
    "nothing": lambda _: b"",
    "JSON": lambda _: b'{"Config":{},"Model":{}}',
    "a text longer than all": length(b"tree_info", 1 << 40),
    "a text of a length below zero": length(b"tree_info", -9),
    "an array longer than all": lambda handle: handle.replace(b"[$d#L\0\0", b"[$d#L\x7f\0", 1),
    "an array of another type": lambda handle: handle.replace(b"[$d#L", b"[$H#L", 1),
    "a list longer than all": lambda handle: handle.replace(b"trees[#L\0\0", b"trees[#L\x7f\0", 1),
    "a key twice": lambda handle: handle.replace(b"learner", b"version", 2),
    "deeper": lambda handle: handle.replace(b"attributes{}", b"attributes" + b"[#L\0\0\0\0\0\0\0\1" * 9999 + b"{}", 1),
}


@pytest.mark.parametrize("name", HANDLES)
def test_bytes_that_end_elsewhere_are_refused_unseen(xgboost_file, unseen, name):
    handle = handle_of(xgboost_file)
    changed = HANDLES[name](handle)
    assert changed != handle
    refused(with_handle(xgboost_file, changed))


def test_a_tree_of_many_levels_is_refused(xgboost_file, unseen):
    """Libraries that go down by recursion run out of their stack."""
    model, levels = model_of(xgboost_file), boosters.MAX_LEVELS + 1
    one, size = trees_of(model)[0], 2 * levels + 1
    for key, dtype in {**boosters._ARRAYS, **boosters._SETS}.items():
        one[key] = np.zeros(size if key in boosters._ARRAYS else 0, dtype)
    one["left_children"][:] = one["right_children"][:] = -1
    split = 2 * np.arange(levels)
    one["left_children"][split], one["right_children"][split] = split + 1, split + 2
    one["parents"][split + 1] = one["parents"][split + 2] = split
    one["parents"][0] = (1 << 31) - 1
    one["tree_param"]["num_nodes"] = str(size)
    assert f"more than {boosters.MAX_LEVELS} levels" in refused(with_model(xgboost_file, model))


def test_settings_beside_a_model_are_not_read(xgboost_file):
    """XGBoost makes its own instead: here of a file that would have it begin millions of threads."""
    handle = handle_of(xgboost_file)
    key = struct.pack(">q", 7) + b"nthreadSL"
    changed = handle.replace(key + struct.pack(">q", 1) + b"0", key + struct.pack(">q", 7) + b"9999999", 1)
    assert changed != handle
    loaded = loads(with_handle(xgboost_file, changed), "m")
    assert json.loads(loaded.get_booster().save_config())["learner"]["generic_param"]["nthread"] == "0"
    assert dumps(loaded) == xgboost_file


MANY = 200_000


def many(key, number):
    return first(key, lambda _: " ".join([number] * MANY))


LARGE = {
    "numbers": lambda text: resized(
        many("split_gain", "0")(many("split_feature", "0")(first("num_leaves", lambda _: str(MANY + 1))(text)))
    ),
    "sets": lambda text: resized(many("cat_threshold", "999")(first("cat_boundaries", place(-1, MANY))(text))),
    "sizes of trees": many("tree_sizes", "9"),
    "categories": first("feature_infos", lambda line: ":".join(["0"] * MANY) + line[line.index(" ") :]),
    "features": lambda text: first("max_feature_idx", lambda _: str(MANY - 1))(many("feature_infos", "")(text)),
    "lines": lambda text: first("tree_sizes", place(0, MANY))(text.replace("shrinkage=", "\n" * MANY, 1)),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_large_text_takes_five_times_its_size(lightgbm_file, name):
    text = LARGE[name](text_of(lightgbm_file))
    assert len(text) > MANY
    tracemalloc.start()
    try:
        with contextlib.suppress(boosters.RefusedError):
            boosters.check_lightgbm(text)
        assert tracemalloc.get_traced_memory()[1] < 5 * len(text)
    finally:
        tracemalloc.stop()


def test_a_list_of_nothings_takes_no_memory(xgboost_file, unseen):
    """Python's empty mappings are 36 times as large as XGBoost's."""
    handle = handle_of(xgboost_file)
    nothings = b"attributes[#L" + struct.pack(">q", MANY) + b"{}" * MANY
    large = handle.replace(b"attributes{}", nothings)
    assert large != handle
    tracemalloc.start()
    try:
        assert "do not have" in refused(with_handle(xgboost_file, large))
        assert tracemalloc.get_traced_memory()[1] < 17 * len(large)
    finally:
        tracemalloc.stop()


def several(data, count):
    """A file of so many models, each of them the one of ``data``, whose bytes it has once."""
    files = files_of(data)
    model = json.loads(files["schema.json"])
    schema = json.loads(files_of(dumps([1]))["schema.json"])
    return packed(files | {"schema.json": json.dumps(schema | {"content": [model] * count})})


def test_sets_of_all_models_of_a_file_take_memory(xgboost_file, unseen):
    model = model_of(xgboost_file)
    tree("categories", -1, boosters.MAX_SETS)(model)  # an eighth of that many bytes
    large = with_model(xgboost_file, model)
    assert boosters.MAX_SETS // 8 <= boosters.model_in(handle_of(large))[1] < boosters.MAX_SETS // 7
    assert "sets of categories take" in refused(several(large, 8))


# Reads files with numbers of a text, or bytes, changed at random, by so many seeds for each library.
FUZZ = """
import random, re, sys, warnings
sys.path[:0] = ["tests", "tests/deployment/exchange"]
from lockstep.deployment.exchange.skops_file import dumps, loads
from lockstep.kernel.errors import IntegrityError
from lockstep.learning.voting import member_of
import test_boosters as t

warnings.simplefilter("ignore")


def changed_text(draw, text):
    tokens = re.split(r"([ =\\n:])", text)
    for _ in range(draw.choice([1, 1, 1, 3])):
        values = ["-1", "0", "1", "2", "99", "-99", "2147483648", "1e400", "nan", "", "x", *draw.choices(tokens, k=9)]
        tokens[draw.randrange(len(tokens))] = draw.choice(values)
    return t.resized("".join(tokens)) if draw.random() < 0.7 else "".join(tokens)


def changed_bytes(draw, handle):
    handle, start = bytearray(handle), handle.index(b"Model")
    for _ in range(draw.choice([1, 1, 1, 3])):
        handle[draw.randrange(start, len(handle))] = draw.choice([0, 1, 2, 127, 128, 255, draw.randrange(256)])
    return bytes(handle)


for library in t.LIBRARIES:
    data, counts = dumps(member_of(t.fitted(library, "three classes", n_estimators=2))), [0, 0]
    for seed in range(int(sys.argv[1])):
        draw = random.Random(seed)
        if library == "lightgbm":
            changed = t.with_text(data, changed_text(draw, t.text_of(data)))
        else:
            changed = t.with_handle(data, changed_bytes(draw, t.handle_of(data)))
        try:
            model = loads(changed, "m")
        except IntegrityError:
            counts[0] += 1
        else:
            model.predict(t.X[:20])
            counts[1] += 1
    print(*counts)
"""


def test_what_is_changed_at_random_is_refused_or_predicts(exhaustively):
    """In a process of its own, which a crash would end. What is read has another number in a leaf, for instance."""
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, "150" if exhaustively else "50"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for line in done.stdout.splitlines():
        refused, read = map(int, line.split())
        assert refused > 5
        assert read > 5
