"""Models as skops files: hostile ones are refused before any of their code runs and before memory is taken.

That every model type predicts the same, and has the same bytes in every process, is tested in tests/saving.
"""

import io
import json
import os
import pickle
import re
import resource
import zipfile
from operator import methodcaller
from pathlib import Path

from lockstep.deployment.exchange.skops_file import ALLOWED, SKOPS_PROTOCOL, dumps, loads
from lockstep.kernel.errors import IntegrityError, SettingsError
from lockstep.learning.own_features import OwnFeatures

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, PowerTransformer
from skops import io as skops_io

X = np.random.default_rng(0).normal(size=(60, 3))


@pytest.fixture(scope="module")
def forest():
    return dumps(RandomForestClassifier(3, random_state=0).fit(X, X[:, 0] > 0))


def parts(data):
    """(the schema, the arrays) of a skops file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("schema.json")), files


def packed(schema, files=None, compression=zipfile.ZIP_DEFLATED):
    """The opposite of parts()."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", compression) as archive:
        archive.writestr("schema.json", schema if isinstance(schema, str) else json.dumps(schema))
        for name, content in (files or {}).items():
            archive.writestr(name, content)
    return memory.getvalue()


def npy(array):
    memory = io.BytesIO()
    np.save(memory, array)
    return memory.getvalue()


def node(loader, name, **more):
    module, _, kind = name.rpartition(".")
    return {"__class__": kind, "__module__": module, "__loader__": loader, **more}


def value(content, **more):
    return node("JsonNode", "builtins.str", content=json.dumps(content), is_json=True, **more)


def several(kind, *items, **more):
    return node(f"{kind.title()}Node", f"builtins.{kind}", content=list(items), **more)


def mapping(**items):
    keys = several("list", *(node("TypeNode", "builtins.str") for _ in items))
    return node("DictNode", "builtins.dict", content=items, key_types=keys)


def gadget(content, **files):
    """A file whose root is ``content``, as skops would write it."""
    return packed({**content, "protocol": SKOPS_PROTOCOL, "_skops_version": "0"}, files)


TOUCH = "touch ran"
SYSTEM = node("FunctionNode", f"{os.system.__module__}.system")
ARRAY = node("NdArrayNode", "numpy.ndarray", type="numpy", file="1.npy")
SWAPPED = several("tuple", value("astype"), value("float64"), __id__=7)
HEADER = npy(np.zeros(4))[:128].replace(b"(4,), ", b"(400000000,), ").replace(b" " * 8, b"", 1)
HOSTILE = {
    "a pickle by another name": pickle.dumps(methodcaller("x")),
    "os.system in a function node": gadget(
        node(
            "PartialNode",
            "functools.partial",
            content={
                "func": SYSTEM,
                "args": several("tuple", value(TOUCH)),
                "kwds": mapping(),
                "namespace": value(None),
            },
        )
    ),
    "Popen by its constructor": gadget(
        node("ConstructorFromReduceNode", "subprocess.Popen", content=several("tuple", value(["touch", "ran"])))
    ),
    "a type that is called as a key": gadget(
        node(
            "DictNode",
            "builtins.dict",
            content={TOUCH: value(1)},
            key_types=several("list", node("TypeNode", f"{os.system.__module__}.system")),
        )
    ),
    "a bound method": gadget(
        node(
            "MethodNode", "pathlib.PosixPath", content={"func": "touch", "obj": node("ObjectNode", "pathlib.PosixPath")}
        )
    ),
    "methodcaller of another method": gadget(
        node("OperatorFuncNode", "operator.methodcaller", attrs=several("tuple", value("to_pickle"), value("ran")))
    ),
    "attrgetter": gadget(node("OperatorFuncNode", "operator.attrgetter", attrs=several("tuple", value("__class__")))),
    "the number of another object": gadget(
        several(
            "list",
            several("tuple", value("to_pickle"), value("ran"), __id__=7),
            node("OperatorFuncNode", "operator.methodcaller", attrs=SWAPPED),
        )
    ),
    "two objects of one number": gadget(several("list", value(1, __id__=7), several("tuple", __id__=7))),
    "an estimator that is not ours": gadget(node("ObjectNode", "sklearn.utils._bunch.Bunch", content=mapping())),
    "a loader of an older protocol": packed({**value(1), "protocol": 0}),
    "a zip bomb": lambda: gadget(ARRAY, **{"1.npy": npy(np.zeros(50_000_000))}),
    "an array that many have": lambda: gadget(several("list", *[ARRAY] * 9), **{"1.npy": npy(np.zeros(9_000_000))}),
    "an array of the number 0 that many have": lambda: gadget(
        several("list", *[{**ARRAY, "__id__": 0}] * 9), **{"1.npy": npy(np.zeros(9_000_000))}
    ),
    "models of more bytes than the file has": lambda: packed(
        {**value(1), "protocol": SKOPS_PROTOCOL}, {f"{number}.bin": bytes(9 << 20) for number in range(3)}
    ),
    "bytes_ of a number": gadget(
        node("NdArrayNode", "numpy.bytes_", type="numpy", file="1.npy"), **{"1.npy": npy(np.array(1_500_000_000))}
    ),
    "an array that is not there": gadget(ARRAY, **{"1.npy": HEADER + bytes(32)}),
    "records of no size": gadget(ARRAY, **{"1.npy": npy(np.zeros(4, "V0"))}),
    "objects in an array": gadget(ARRAY, **{"1.npy": pickle.dumps(1)}),
    "a deep schema": packed('{"content":' * 50_000 + "1" + "}" * 50_000),
    "a deep value": packed(
        json.dumps({**node("JsonNode", "builtins.str"), "content": "[" * 50_000, "protocol": SKOPS_PROTOCOL})
    ),
    "a large schema": lambda: packed('"' + "x" * (1 << 25) + '"'),
    "a file of another kind": packed({**value(1), "protocol": SKOPS_PROTOCOL}, {"payload.py": b""}),
    "no schema": packed("[]"),
    "nothing": b"",
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused(name, tmp_path, monkeypatch):
    """Without their code being run, and with less than 512 MiB of memory."""
    monkeypatch.chdir(tmp_path)
    data = HOSTILE[name]() if callable(HOSTILE[name]) else HOSTILE[name]  # what takes a second to be made
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), hard))
    try:
        with pytest.raises(IntegrityError, match=r"^m.skops is not a skops file that Lockstep wrote: (?!MemoryError)"):
            loads(data, "m.skops")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_skops_asked_what_to_trust_runs_it(tmp_path, monkeypatch):
    """What many tutorials do: the gadgets above are real ones."""
    monkeypatch.chdir(tmp_path)
    data = HOSTILE["a type that is called as a key"]
    skops_io.loads(data, trusted=skops_io.get_untrusted_types(data=data))
    assert (tmp_path / "ran").exists()


def test_a_truncated_or_altered_file_is_refused(forest):
    for cut in (10, len(forest) // 2, len(forest) - 1):
        with pytest.raises(IntegrityError):
            loads(forest[:cut], "m")
    schema, files = parts(forest)
    with pytest.raises(IntegrityError, match="KeyError"):
        loads(packed(schema, dict(list(files.items())[1:])), "m")


def test_the_parts_of_a_file_alone_make_it_again(forest):
    """Else the tests below would be refused for how they pack it."""
    np.testing.assert_array_equal(loads(packed(*parts(forest)), "m").predict(X), loads(forest, "m").predict(X))


@pytest.mark.parametrize(("field", "number"), [("left_child", 99), ("right_child", 0), ("feature", 3), ("feature", -1)])
def test_a_tree_that_leads_nowhere_is_refused(forest, field, number):
    schema, files = parts(forest)
    name = next(name for name, content in files.items() if b"left_child" in content)
    nodes = np.load(io.BytesIO(files[name]))
    nodes[field][0] = number
    with pytest.raises(IntegrityError, match="refers to nodes or features that it does not have"):
        loads(packed(schema, files | {name: npy(nodes)}), "m")


@pytest.mark.parametrize(
    ("field", "number"), [("left", 99), ("right", 0), ("feature_idx", 3), ("feature_idx", -1), ("is_categorical", 1)]
)
def test_so_is_one_of_a_histogram(field, number):
    schema, files = parts(dumps(HistGradientBoostingRegressor(max_iter=1).fit(X, X[:, 0])))
    name = next(name for name, content in files.items() if b"feature_idx" in content)
    nodes = np.load(io.BytesIO(files[name]))
    nodes[field][0] = number
    with pytest.raises(IntegrityError, match="refers to nodes or features that it does not have"):
        loads(packed(schema, files | {name: npy(nodes)}), "m")


@pytest.fixture(scope="module")
def categories():
    """Histogram boosting that splits by category."""
    codes = np.column_stack([X, np.arange(60) % 6])
    model = HistGradientBoostingRegressor(max_iter=1, categorical_features=[3], min_samples_leaf=5)
    return dumps(model.fit(codes, np.isin(codes[:, 3], [0, 2, 5])))


@pytest.mark.parametrize(
    ("holding", "change"),
    [
        (b"bitset_idx", lambda nodes: nodes["bitset_idx"].__setitem__(0, 9)),
        (b"bitset_idx", lambda nodes: nodes["feature_idx"].__setitem__(0, 2)),  # no category
        (b"(4,)", lambda flags: flags.__setitem__(0, 0)),  # nor this one, then
    ],
    ids=["set", "feature", "table"],
)
def test_a_split_by_categories_that_are_not_there_is_refused(categories, holding, change):
    schema, files = parts(categories)
    codes = np.column_stack([X, np.arange(60) % 6])
    assert len(set(loads(packed(schema, files), "m").predict(codes))) > 1
    name = next(
        name for name, content in files.items() if holding in content and (b"|u1" in content or holding != b"(4,)")
    )
    array = np.load(io.BytesIO(files[name]))
    change(array)
    with pytest.raises(IntegrityError, match="refers to nodes or features that it does not have"):
        loads(packed(schema, files | {name: npy(array)}), "m")


@pytest.mark.parametrize("which", [0, -1], ids=["the forest", "a tree"])
def test_a_forest_that_hands_on_fewer_features_than_its_trees_look_at(forest, which):
    schema, files = parts(forest)
    pieces = re.split(r'("n_features_in_": \{[^}]*"content": )"3"', json.dumps(schema))
    assert len(pieces) >= 2 * 4 + 1  # the forest's own, three trees', and that of the tree that they are copies of
    numbers = ['"3"'] * (len(pieces) // 2)
    numbers[which] = '"1"'
    text = pieces[0] + "".join(a + n + b for a, n, b in zip(pieces[1::2], numbers, pieces[2::2], strict=True))
    with pytest.raises(IntegrityError, match="features"):
        loads(packed(text, files), "m")


@pytest.mark.parametrize("n_outputs", [2, 1_000_000_000])
def test_a_tree_of_more_outputs_than_it_has_is_refused_before_it_is_made(forest, n_outputs):
    schema, files = parts(forest)
    text = json.dumps(schema)
    args = next(part for part in text.split('"args": ')[1:])
    end = args.index("}]") + 1
    last = args[:end].rindex('"content": "1"')
    changed = text.replace(args, args[:last] + f'"content": "{n_outputs}"' + args[last + len('"content": "1"') :], 1)
    assert changed != text
    with pytest.raises(IntegrityError, match="refers to nodes or features that it does not have"):
        loads(packed(changed, files), "m")


@pytest.mark.parametrize(
    ("attribute", "value"),
    [("input", "filename"), ("analyzer", "word"), ("vocabulary_", 10**9), ("vocabulary_", -1), ("vocabulary_", 0)],
)
def test_texts_are_no_names_of_files_and_are_counted_where_there_is_a_place(attribute, value):
    """A fitted TfidfVectorizer's attributes, one of them changed, or the place of one of its words."""
    texts = ["red brick", "old house", "red house"]
    weigh = TfidfVectorizer(analyzer="char", ngram_range=(2, 4), vocabulary=["br", "ho", "re"]).fit(texts)
    schema, files = parts(dumps(weigh))
    np.testing.assert_array_equal(
        loads(packed(schema, files), "m").transform(texts).toarray(), weigh.transform(texts).toarray()
    )
    attributes = schema["content"]["content"]
    changed = attributes[attribute] if attribute != "vocabulary_" else attributes["vocabulary_"]["content"]["re"]
    changed["content"] = json.dumps(value)
    with pytest.raises(IntegrityError, match="TfidfVectorizer of a form that no model of Lockstep's has"):
        loads(packed(schema, files), "m")


def test_what_skops_itself_trusts_is_not_enough():
    """PowerTransformer is in skops' own list; no model of ours has one."""
    data = skops_io.dumps(PowerTransformer().fit(X))
    assert skops_io.get_untrusted_types(data=data) == []
    with pytest.raises(IntegrityError, match="PowerTransformer, which such a file of Lockstep's never has"):
        loads(data, "m")


@pytest.mark.parametrize(
    "step",
    [PowerTransformer(), FunctionTransformer(np.log1p), FunctionTransformer(methodcaller("to_pickle", "x"))],
    ids=["estimator", "function", "method"],
)
def test_a_model_with_other_parts_cannot_be_written(step):
    with pytest.raises(
        SettingsError, match=r"this model cannot be written as a skops file: .*\. Use its \.joblib file"
    ):
        dumps(Pipeline([("a", step), ("b", Ridge())]))


def test_a_model_with_own_features_is_said_to_need_own_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("features").mkdir()
    Path("features/p.py").write_text("def features(rows):\n    return rows.assign(c=rows['a'] * rows['b'])\n")
    rows = pd.DataFrame(X[:, :2], columns=["a", "b"])
    model = Pipeline([("features", OwnFeatures("features/p.py")), ("model", Ridge())]).fit(rows, X[:, 2])
    with pytest.raises(SettingsError, match=r"it needs code of your own, of features/ .*\. Use its \.joblib file"):
        dumps(model)


def test_the_file_is_one_for_skops_too(forest):
    trusted = [name for names in ALLOWED.values() for name in names]
    assert (skops_io.loads(forest, trusted=trusted).predict(X) == loads(forest, "m").predict(X)).all()
    assert parts(forest)[0]["protocol"] == SKOPS_PROTOCOL


def test_shared_objects_stay_shared():
    """The trees of a boosted model share one random state."""
    model = GradientBoostingRegressor(n_estimators=2, random_state=0).fit(X, X[:, 0])
    trees = loads(dumps(model), "m").estimators_.ravel()
    before = model.estimators_.ravel()
    assert (trees[0].random_state is trees[1].random_state) == (before[0].random_state is before[1].random_state)
    assert dumps(loads(dumps(model), "m")) == dumps(model)
