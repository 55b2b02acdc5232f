"""What a skops file may hold of LightGBM and XGBoost, checked in Python before their own parsers read any of it.

Both parsers are C++ and trust what they read: an index leads wherever it says, a size is allocated as it stands, and a
text that ends too early is read past its end. So they are given nothing but what was checked here to the last byte:

* **LightGBM**: the model's text, line by line, each with the key that LightGBM writes there. The number of numbers in a
  line, the number and the sizes of the trees, the names of the features and the number of classes, which the objective
  repeats, agree. There are no linear trees.
* **XGBoost**: its UBJSON, by the five forms of value that it writes, each ending inside of the file; then the model in
  it by a fixed list of keys, types of arrays and objectives. Lengths, numbers of nodes, features, trees and classes
  agree. What XGBoost adds to a model of how to train on (``Config``) is not read: it makes that anew.
* **Of both**: each node's children have higher numbers than itself, and each node, and each leaf, is the child of
  exactly one, so that there is no cycle; no tree has more than MAX_LEVELS levels; each split is of a feature, and each
  set of categories is of categories, that there are. The estimators have the parameters in PARAMETERS and no other,
  whose values are numbers and texts of one word: LightGBM parses a line of them whenever it predicts.

The numbers themselves, in thresholds and leaves, are believed: a model may predict nonsense, NaN included.

Written is what predictions come from, and nothing else, which makes the bytes canonical: LightGBM's text ends with its
trees, before the parameters that it was trained with, and the state around it is the same for all; XGBoost's model is
written with the settings that XGBoost itself makes for a model without any.
"""

import json
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

MAX_LEVELS = 1024
"""Of a tree: both libraries go down trees by recursion for some of what they compute."""
MAX_SETS = 1 << 28
"""Bytes that the sets of categories of all of XGBoost's models in a file may take: it makes a bit of each code below
the highest one, whichever are in the set."""
MAX_THREADS = 256

LIGHTGBM, XGBOOST = "lightgbm.basic.Booster", "xgboost.core.Booster"
LIGHTGBM_TYPES = ("lightgbm.sklearn.LGBMClassifier", "lightgbm.sklearn.LGBMRegressor")
XGBOOST_TYPES = ("xgboost.sklearn.XGBClassifier", "xgboost.sklearn.XGBRegressor")
TYPES = (LIGHTGBM, *LIGHTGBM_TYPES, XGBOOST, *XGBOOST_TYPES)

_LIGHTGBM_OTHERS = {
    "cat_l2", "cat_smooth", "deterministic", "extra_trees", "force_row_wise", "max_bin", "max_cat_threshold",
    "path_smooth", "verbosity",
}  # fmt: skip
"""Parameters of LightGBM's that its estimators take without naming them."""
PARAMETERS = {
    "lightgbm": _LIGHTGBM_OTHERS | {
        "boosting_type", "class_weight", "colsample_bytree", "importance_type", "learning_rate", "max_depth",
        "min_child_samples", "min_child_weight", "min_split_gain", "n_estimators", "n_jobs", "num_leaves",
        "objective", "random_state", "reg_alpha", "reg_lambda", "subsample", "subsample_for_bin",
        "subsample_freq",
        # what a fit leaves
        "_best_iteration", "_class_weight", "_fitted_with_feature_names", "_n_classes", "_n_features",
        "_n_features_in", "_objective", "_other_params", "fitted_",
    },
    "xgboost": {
        "base_score", "booster", "callbacks", "colsample_bylevel", "colsample_bynode", "colsample_bytree",
        "device", "early_stopping_rounds", "enable_categorical", "eval_metric", "feature_types",
        "feature_weights", "gamma", "grow_policy", "importance_type", "interaction_constraints",
        "learning_rate", "max_bin", "max_cat_threshold", "max_cat_to_onehot", "max_delta_step", "max_depth",
        "max_leaves", "min_child_weight", "missing", "monotone_constraints", "multi_strategy", "n_estimators",
        "n_jobs", "num_parallel_tree", "objective", "random_state", "reg_alpha", "reg_lambda",
        "sampling_method", "scale_pos_weight", "subsample", "tree_method", "validate_parameters", "verbosity",
        "n_classes_",
    },
}  # fmt: skip
"""{library: the attributes of its estimators that are numbers or words, or lists of such}."""
_EMPTIED = ("_best_score", "_evals_result", "_class_map")
"""Attributes of LightGBM's estimators that nothing is predicted from: they say how the fit went."""


class RefusedError(Exception):
    """What a skops file must not have."""


def _require(fine: Any, what: str) -> None:
    if not fine:
        raise RefusedError(f"it holds a model of {what}")


def type_of(node: Mapping[str, Any]) -> str:
    """The name of the type that a node of skops' schema is of."""
    return f"{node.get('__module__')}.{node.get('__class__')}"


def libraries_in(data: bytes) -> list[str]:
    """Which of the two libraries a skops file that ``dumps`` wrote has models of; it is not compressed."""
    return [library for library in PARAMETERS if f'"{library}.sklearn"'.encode() in data]


def simplify(nodes: list[dict[str, Any]], contents: dict[str, bytes]) -> None:
    """Take out of a file that skops wrote, in place, what no prediction of the two libraries' models comes from.

    Args:
        nodes: of the schema.
        contents: {name of another file in it: its bytes}.
    """
    for node in nodes:
        name = type_of(node)
        if name not in TYPES or node["__loader__"] != "ObjectNode":
            continue
        state = node["content"]
        if name == LIGHTGBM:
            kept = {key: json.loads(state["content"][key]["content"]) for key in ("_handle", "best_iteration")}
            text, end, _ = kept["_handle"].partition("\nend of trees\n")
            made = {**kept, "_handle": text + end, **_LIGHTGBM_STATE}
            state["content"] = {key: _node_of(value, f"{node['__id__']} {key}") for key, value in made.items()}
            state["key_types"]["content"] = [{**_TEXT_TYPE, "__id__": "str"} for _ in made]
        elif name == XGBOOST:
            file = state["content"]["handle"]["file"]
            contents[file] = whole_model(model_in(contents[file])[0])
        elif name in LIGHTGBM_TYPES:
            for key in set(_EMPTIED) & set(state["content"]):
                state["content"][key] = _node_of(None, f"{node['__id__']} {key}")


_LIGHTGBM_STATE: dict[str, Any] = {
    "_network": False,
    "_Booster__need_reload_eval_info": True,
    "_train_data_name": "training",
    "_Booster__set_objective_to_none": False,
    "best_score": None,
    "pandas_categorical": None,
    "params": None,
}
"""What LightGBM keeps beside a model that it has read from a text."""
_TEXT_TYPE = {"__class__": "str", "__module__": "builtins", "__loader__": "TypeNode"}


def _node_of(value: Any, number: str) -> dict[str, Any]:
    """A text, number, truth value or null as skops writes it, as the object of this number."""
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
        "__id__": number,
    }


def check(nodes: list[dict[str, Any]], read: Callable[[str], bytes]) -> dict[str, bytes]:
    """Check all that is of the two libraries in a file whose nodes are each of a type on the list.

    Args:
        nodes: of the schema.
        read: gives the bytes of another file in it.

    Returns:
        {file: the model of XGBoost's that is in it, without what XGBoost adds}.

    Raises:
        RefusedError: see the module. Errors of other kinds too, of a schema that skops never writes.
    """
    found: dict[str, tuple[bytes, int]] = {}
    sets = 0
    for node in nodes:
        name = type_of(node)
        if name not in TYPES or node["__loader__"] != "ObjectNode":
            continue
        _require(node["content"]["__loader__"] == "DictNode", f"{name} with another state in it")
        state = node["content"]["content"]
        if name == LIGHTGBM:
            _require(all(item["__loader__"] == "JsonNode" for item in state.values()), "LightGBM with another state")
            values = {key: json.loads(item["content"]) for key, item in state.items()}
            text, iteration = values.pop("_handle"), values.pop("best_iteration")
            _require(values == _LIGHTGBM_STATE and type(iteration) is int, "LightGBM with another state around it")
            check_lightgbm(text)
        elif name == XGBOOST:
            _require(list(state) == ["handle"], "XGBoost with another state around it")
            _require(state["handle"]["__loader__"] == "BytearrayNode", "XGBoost that is not bytes")
            file = state["handle"]["file"]
            if file not in found:
                found[file] = model_in(read(file))
            sets += found[file][1]
            _require(sets <= MAX_SETS, f"XGBoost whose sets of categories take {sets:,} bytes")
        else:
            _check_estimator(name, state)
    return {file: model for file, (model, _) in found.items()}


def _check_estimator(name: str, state: dict[str, Any]) -> None:
    """Raise RefusedError unless an estimator has the attributes that a fit of Lockstep's leaves, with plain values."""
    library, kind = name.split(".")[0], name.rpartition(".")[2]
    for key, item in state.items():
        if key == "_Booster" and item["__loader__"] == "ObjectNode":
            fine = type_of(item) == (LIGHTGBM if library == "lightgbm" else XGBOOST)
        elif key == "_le":
            fine = item["__loader__"] == "ObjectNode" and item["__class__"] == "LabelEncoder"
        elif key == "_classes":
            fine = item["__loader__"] in ("NdArrayNode", "JsonNode")
        elif key in _EMPTIED or key in ("_Booster", "callbacks"):
            fine = item["__loader__"] == "JsonNode" and item["content"] == "null"
        else:
            fine = key in PARAMETERS[library] and _is_plain(item)
        if not fine:
            raise RefusedError(f"it holds a {kind} whose {key} is of a form that no model of Lockstep's has")
    threads = json.loads(state["n_jobs"]["content"])
    _require(threads is None or (type(threads) is int and abs(threads) <= MAX_THREADS), f"{kind} with {threads} jobs")
    if library == "lightgbm":
        others = state["_other_params"]["content"]
        _require(set(others) <= _LIGHTGBM_OTHERS, f"{kind} with parameters that no model of Lockstep's has")
        if state["_Booster"]["__loader__"] == "ObjectNode":
            classes = json.loads(state["_n_classes"]["content"])
            text = json.loads(state["_Booster"]["content"]["content"]["_handle"]["content"])
            n_class = classes if classes > 2 else 1
            _require(
                text.startswith(f"tree\nversion=v4\nnum_class={n_class}\n"), f"{kind} with another number of classes"
            )


# error@0.7, [[0,1],[2]]; spaces, ends of lines and "=", which LightGBM parses parameters by, are not among them
_WORD = re.compile(r"[\w.:@,()\[\]-]*", re.ASCII)


def _is_plain(node: dict[str, Any]) -> bool:
    """Whether a node is of a number, a word, null, or a list, tuple or mapping of such."""
    match node["__loader__"]:
        case "JsonNode":
            value = json.loads(node["content"])
            return (
                _WORD.fullmatch(value) is not None if isinstance(value, str) else isinstance(value, float | int | None)
            )
        case "ListNode" | "TupleNode":
            return all(_is_plain(item) for item in node["content"])
        case "DictNode":
            return all(_WORD.fullmatch(key) and _is_plain(item) for key, item in node["content"].items())
    return False


def _check_links(children: np.ndarray, sizes: np.ndarray, what: str) -> None:
    """Raise RefusedError unless trees are trees.

    Args:
        children: (2, n_nodes), the left and right children of the nodes of all trees, one tree after the other, by
            their numbers within their tree; negative: none.
        sizes: (n_trees,), the number of nodes of each tree.
        what: whose trees they are, for messages.
    """
    starts = np.cumsum(sizes) - sizes
    start, size = np.repeat(starts, sizes), np.repeat(sizes, sizes)
    own = np.arange(len(start)) - start
    inner = children >= 0
    _require(
        np.all((children > own) & (children < size), where=inner), f"{what} with a tree that leads to a node not there"
    )
    below = np.where(inner, children + start, -1)
    times, roots = np.bincount(below[inner], minlength=len(start)), np.zeros(len(start), dtype=np.int64)
    roots[starts[sizes > 0]] = 1
    _require((times + roots == 1).all(), f"{what} with a tree that leads to a node twice, or never")
    level = np.flatnonzero(roots)
    for _ in range(MAX_LEVELS):
        level = below[:, level]
        level = level[level >= 0]
    _require(not len(level), f"{what} with a tree of more than {MAX_LEVELS} levels")


# LightGBM

_INTEGER, _NUMBER = r"-?\d{1,10}", r"-?(?:\d{1,25}(?:\.\d{1,25})?(?:e[+-]?\d{1,3})?|inf|nan)"
# *+, which never goes back: * would take 260 bytes of memory for each byte of a line.
_INTEGERS, _NUMBERS, _RANGES = (
    re.compile(rf"(?:{one}(?: {one})*+)?", re.ASCII)
    for one in (_INTEGER, _NUMBER, rf"(?:none|\[{_NUMBER}:{_NUMBER}\]|{_INTEGER}(?::{_INTEGER})*+)")
)
_HEADER = re.compile(
    r"tree\nversion=v4\nnum_class=(?P<classes>\d{1,7})\nnum_tree_per_iteration=(?P<each>\d{1,7})\nlabel_index=0\n"
    r"max_feature_idx=(?P<last>\d{1,8})\nobjective=(?P<objective>[^\n]*)\n(?:average_output\n)?"
    r"feature_names=(?P<names>[^\n]*)\nfeature_infos=(?P<infos>[^\n]*)\ntree_sizes=(?P<sizes>[^\n]*)\n\n",
    re.ASCII,
)
_OBJECTIVE = re.compile(
    r"(?:regression|regression_l1|huber|fair|poisson|quantile|mape|gamma|tweedie)(?: sqrt)?"
    rf"|cross_entropy|cross_entropy_lambda|binary sigmoid:{_NUMBER}"
    rf"|multiclass num_class:(\d{{1,7}})|multiclassova num_class:(\d{{1,7}}) sigmoid:{_NUMBER}",
    re.ASCII,
)
_SPLIT_LINES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
_LEAF_LINES = ("leaf_value", "leaf_weight", "leaf_count")
_INNER_LINES = ("internal_value", "internal_weight", "internal_count")
_INTEGER_LINES = {"split_feature", "decision_type", "left_child", "right_child", "leaf_count", "internal_count"}


def check_lightgbm(text: str) -> None:
    """Raise RefusedError unless ``text`` is a model as LightGBM writes it, up to the end of its trees, that refers to
    nothing that is not in it."""
    _require(text.isascii(), "LightGBM with letters")  # also digits of other scripts, which are some to Python alone
    header = _HEADER.match(text)
    objective = _OBJECTIVE.fullmatch(header["objective"]) if header else None
    if header is None or objective is None:
        raise RefusedError("it holds a model of LightGBM that does not begin as one does, or of another objective")
    classes, each, width = int(header["classes"]), int(header["each"]), int(header["last"]) + 1
    told = int(objective[1] or objective[2] or 1)
    _require(classes == each == told, "LightGBM whose numbers of classes differ")
    _require(
        header["infos"].count(" ") + 1 == width
        and width <= len(header["names"]) // 8  # before so many names are made
        and header["names"] == " ".join(f"Column_{number}" for number in range(width))
        and _RANGES.fullmatch(header["infos"]),
        "LightGBM with another number of features, or names of its own",
    )
    sizes, at, trees = _whole_numbers(header["sizes"]), header.end(), []
    _require(len(sizes) > 0 and len(sizes) % each == 0, "LightGBM whose classes have different numbers of trees")
    for number, size in enumerate(sizes):
        _require(0 < size <= len(text) - at, "LightGBM with a tree of another size")
        trees.append(_lightgbm_tree(text[at : at + size], number, width))
        at += size
    _require(text[at:] == "end of trees\n", "LightGBM that does not end with its trees")
    children = np.concatenate(trees, axis=1)
    leaves = np.array([tree.shape[1] + 1 for tree in trees])
    inner = leaves - 1
    _check_links(children, inner, "LightGBM")
    # Leaves are numbered apart, as -1, -2, ...: each of them is a child once, but for that of a tree without splits.
    first, leaf = np.cumsum(leaves) - leaves, ~children
    _require(np.all(leaf < np.repeat(leaves, inner), where=leaf >= 0), "LightGBM with a leaf that is not there")
    times = np.bincount((leaf + np.repeat(first, inner))[leaf >= 0], minlength=leaves.sum())
    times[first[leaves == 1]] += 1
    _require((times == 1).all(), "LightGBM with a leaf that is reached twice, or never")


def _whole_numbers(text: str) -> np.ndarray:
    _require(_INTEGERS.fullmatch(text), "LightGBM with something else for whole numbers")
    return np.fromstring(text, dtype=np.int64, sep=" ")


def _lightgbm_tree(text: str, number: int, width: int) -> np.ndarray:
    """(2, n_splits) int64: the children of a tree's splits. Raises RefusedError for all else that is wrong in it."""
    what = f"LightGBM whose tree {number} is not one"
    lines = [line.partition("=") for line in text.split("\n", 22)]  # a tree has 22 at most: one more is refused
    values = {key: value for key, _, value in lines}
    counts = {
        key: int(values[key]) for key in ("num_leaves", "num_cat") if re.fullmatch(r"\d{1,9}", values.get(key, ""))
    }
    _require(len(counts) == 2 and counts["num_leaves"] > 0, what)
    n_leaves, n_sets = counts["num_leaves"], counts["num_cat"]
    keys = ["Tree", *counts, *_SPLIT_LINES, *_LEAF_LINES, *_INNER_LINES]
    keys += ["cat_boundaries", "cat_threshold"] if n_sets else []
    written = [(key, "=") for key in (*keys, "is_linear", "shrinkage")] + [("", "")] * 3
    _require([line[:2] for line in lines] == written, what)
    _require(values["Tree"] == str(number) and values["is_linear"] == "0", what)
    _require(values[""] == "" and re.fullmatch(_NUMBER, values["shrinkage"], re.ASCII), what)
    for key in (*_SPLIT_LINES, *_LEAF_LINES, *_INNER_LINES):
        pattern, expected = _INTEGERS if key in _INTEGER_LINES else _NUMBERS, n_leaves - (key not in _LEAF_LINES)
        if key == "leaf_weight" and n_leaves == 1 and not values[key]:
            continue  # as LightGBM writes a tree without splits
        given = values[key].count(" ") + 1 if values[key] else 0
        _require(given == expected and pattern.fullmatch(values[key]), what)
    feature, decision, left, right = (
        _whole_numbers(values[key]) for key in ("split_feature", "decision_type", "left_child", "right_child")
    )
    _require(((feature >= 0) & (feature < width)).all(), f"{what}: a split is of a feature that is not there")
    # Bits: by category, missing goes left, and two for what is missing, nothing, zero or NaN.
    _require(((decision >= 0) & (decision < 12)).all(), f"{what}: a split is of a kind that is not there")
    by_category = np.flatnonzero(decision & 1)
    if n_sets or len(by_category):
        bounds, bits = (_whole_numbers(values.get(key, "")) for key in ("cat_boundaries", "cat_threshold"))
        _require(len(bounds) == n_sets + 1 and bounds[0] == 0 and bounds[-1] == len(bits), what)
        _require((np.diff(bounds) > 0).all() and ((bits >= 0) & (bits < 1 << 32)).all(), what)
        thresholds = values["threshold"].split(" ")
        sets = [thresholds[place] for place in by_category]
        _require(all(re.fullmatch(r"\d{1,9}", one, re.ASCII) and int(one) < n_sets for one in sets), what)
    return np.stack([left, right])


# XGBoost

_DTYPES = {b"i": ">i1", b"U": ">u1", b"l": ">i4", b"L": ">i8", b"I": ">i2", b"d": ">f4"}
_MAX_NESTED = 12
_OTHER_FORM = "XGBoost with a value of a form that its models of trees (gbtree) do not have"


def _value(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """(what stands at ``at``, where it ends), of UBJSON as XGBoost writes it. Raises RefusedError, and struct.error or
    IndexError where it ends too early."""
    _require(depth <= _MAX_NESTED, f"XGBoost that is nested deeper than {_MAX_NESTED} levels")
    marker, at = data[at : at + 1], at + 1
    if marker == b"S":
        return _text(data, at)
    if marker in (b"T", b"F"):
        return marker == b"T", at
    if marker in (b"i", b"I", b"l", b"L"):
        dtype = np.dtype(_DTYPES[marker])
        return int(np.frombuffer(data, dtype, 1, at)[0]), at + dtype.itemsize
    if marker == b"{":
        mapping: dict[str, Any] = {}
        last = ""
        while data[at] != ord("}"):
            key, at = _text(data, at)
            # In order, so that none comes twice; the first may be empty.
            _require(not mapping or key > last, "XGBoost whose keys are not in order")
            mapping[key], at = _value(data, at, depth + 1)
            last = key
        return mapping, at + 1
    _require(marker == b"[", _OTHER_FORM)
    if data[at : at + 1] == b"$":
        dtype, at = np.dtype(_DTYPES[data[at + 1 : at + 2]]), at + 2
        size, at = _size(data, at, b"#L", dtype.itemsize)
        return np.frombuffer(data, dtype, size, at), at + size * dtype.itemsize
    size, at = _size(data, at, b"#L", 1)
    items = []
    for _ in range(size):
        # 36 times as large in memory as in the file
        _require(data[at : at + 2] != b"{}", _OTHER_FORM)
        item, at = _value(data, at, depth + 1)
        items.append(item)
    return items, at


def _size(data: bytes, at: int, before: bytes, each: int) -> tuple[int, int]:
    """(a number of things of at least so many bytes each that are there, where it ends)"""
    _require(data[at : at + len(before)] == before, _OTHER_FORM)
    at += len(before)
    size, at = struct.unpack_from(">q", data, at)[0], at + 8
    _require(0 <= size <= (len(data) - at) // each, "XGBoost that ends too early")
    return size, at


def _text(data: bytes, at: int) -> tuple[str, int]:
    size, at = _size(data, at, b"L", 1)
    return data[at : at + size].decode("ascii"), at + size


_FLOAT = r"-?\d{1,12}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,3})?"
_OBJECTIVES = {
    "reg:squarederror", "reg:squaredlogerror", "reg:logistic", "reg:gamma", "reg:tweedie",
    "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror", "count:poisson", "binary:logistic",
    "binary:logitraw", "binary:hinge", "multi:softprob", "multi:softmax",
}  # fmt: skip
_ARRAYS = {
    "base_weights": ">f4", "default_left": ">u1", "left_children": ">i4", "loss_changes": ">f4", "parents": ">i4",
    "right_children": ">i4", "split_conditions": ">f4", "split_indices": ">i4", "split_type": ">u1",
    "sum_hessian": ">f4",
}  # fmt: skip
_SETS = {"categories": ">i4", "categories_nodes": ">i4", "categories_segments": ">i8", "categories_sizes": ">i8"}
_NO_PARENT = (1 << 31) - 1


def model_in(handle: bytes) -> tuple[bytes, int]:
    """The model in the bytes that XGBoost pickles, without the settings beside it; and the bytes of memory that XGBoost
    will take for its sets of categories.

    Raises:
        RefusedError: it is not as XGBoost writes it, or refers to something that is not in it; struct.error and others
            where it is cut off.
    """
    handle = bytes(handle)
    start = b"{L" + struct.pack(">q", 6) + b"Config"
    _require(handle.startswith(start), "XGBoost that does not begin as one does")
    _, at = _value(handle, len(start))
    key, at = _text(handle, at)
    model, end = _value(handle, at)
    _require(key == "Model" and handle[end:] == b"}", "XGBoost that does not end as one does")
    try:
        sets = _check_xgboost(model)
    except (KeyError, TypeError, AttributeError) as error:
        raise RefusedError(f"it holds a model of XGBoost of another form ({type(error).__name__}: {error})") from None
    return handle[at:end], sets


def whole_model(model: bytes) -> bytes:
    """``model``, which model_in gave, with the settings that XGBoost makes for a model without any."""
    from xgboost import Booster

    booster = Booster()
    booster.load_model(bytearray(model))
    return bytes(booster.__getstate__()["handle"])


def _check_xgboost(model: dict[str, Any]) -> int:
    """The bytes that a model's sets of categories take. Raises RefusedError unless the model refers to nothing that is
    not in it; KeyError and others for other forms."""
    learner, version = model["learner"], model["version"]
    _require(list(model) == ["learner", "version"], "XGBoost with other keys")
    _require(len(version) == 3 and all(type(part) is int for part in version) and version[0] == 3, "another XGBoost")
    gradient_booster, shape, objective = (
        learner.pop(key) for key in ("gradient_booster", "learner_model_param", "objective")
    )
    types = learner.pop("feature_types")
    _require(learner == {"attributes": {}, "feature_names": []}, "XGBoost with other keys")
    groups, width = _check_shape(shape, objective)
    _require(
        not types or (len(types) == width and set(types) <= {"q", "c", "i", "int", "float"}),
        "XGBoost with another number of features",
    )
    _require(
        list(gradient_booster) == ["model", "name"] and gradient_booster["name"] == "gbtree", "XGBoost without trees"
    )
    content = gradient_booster["model"]
    keys = ["cats", "gbtree_model_param", "iteration_indptr", "tree_info", "trees"]
    _require(list(content) == keys, "XGBoost with other keys")
    cats, trees, param = content["cats"], content["trees"], content["gbtree_model_param"]
    _require(isinstance(trees, list), "XGBoost without trees")
    _require(list(cats) == ["enc", "feature_segments", "sorted_idx"], "XGBoost with other keys")
    _require(not any(len(cats[key]) for key in cats), "XGBoost with names of categories")
    parallel = _count(param["num_parallel_tree"])
    _require(list(param) == ["num_parallel_tree", "num_trees"], "XGBoost with other keys")
    each = groups * parallel
    _require(
        param["num_trees"] == str(len(trees)) and 0 < each <= len(trees) and len(trees) % each == 0,
        "XGBoost with another number of trees",
    )
    order = [group for group in range(groups) for _ in range(parallel)] * (len(trees) // each)
    _require(
        content["tree_info"] == order and content["iteration_indptr"] == list(range(0, len(trees) + 1, each)),
        "XGBoost whose trees are of classes that are not there",
    )
    _check_nodes(trees, width)
    return sum(_sets_of(tree) for tree in trees)


def _check_nodes(trees: list[dict[str, Any]], width: int) -> None:
    """Raise RefusedError unless each node of the trees of a model with so many features is one."""
    sizes = np.array([_check_xgboost_tree(tree, number, width) for number, tree in enumerate(trees)])
    left, right, parents, feature, by_category, missing_left = (
        np.concatenate([tree[key] for tree in trees]).astype(np.int64)
        for key in ("left_children", "right_children", "parents", "split_indices", "split_type", "default_left")
    )
    _require((((left == -1) & (right == -1)) | ((left > 0) & (right > 0))).all(), "XGBoost with half a split")
    _check_links(np.stack([left, right]), sizes, "XGBoost")
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    expected, inner = np.full(len(start), _NO_PARENT), np.flatnonzero(left >= 0)
    for child in (left, right):
        expected[(child + start)[inner]] = inner - start[inner]
    _require((parents == expected).all(), "XGBoost with a node of another parent")
    _require(((feature >= 0) & (feature < width)).all(), "XGBoost with a split by a feature that is not there")
    _require(np.isin(missing_left, (0, 1)).all(), "XGBoost with a split of another kind")
    _require(((by_category == 0) | ((by_category == 1) & (left >= 0))).all(), "XGBoost with a split of another kind")


def _count(text: Any) -> int:
    _require(
        isinstance(text, str) and re.fullmatch(r"\d{1,9}", text, re.ASCII), "XGBoost with something else for a number"
    )
    return int(text)


def _check_shape(shape: dict[str, Any], objective: dict[str, Any]) -> tuple[int, int]:
    """(the number of trees' groups, one for each class of more than two; the number of features)"""
    keys = ["base_score", "boost_from_average", "num_class", "num_feature", "num_target"]
    _require(list(shape) == keys, "XGBoost with other keys")
    classes, width = _count(shape["num_class"]), _count(shape["num_feature"])
    groups = max(classes, 1)
    _require(shape["num_target"] == "1" and shape["boost_from_average"] in ("0", "1"), "XGBoost with several targets")
    scores = re.fullmatch(rf"\[{_FLOAT}(?:,{_FLOAT})*\]", shape["base_score"], re.ASCII)
    _require(scores and shape["base_score"].count(",") + 1 in (1, groups), "XGBoost with another number of classes")
    name = objective.pop("name")
    _require(name in _OBJECTIVES and len(objective) <= 1, "XGBoost of another objective")
    for key, values in objective.items():
        numbers = all(re.fullmatch(rf"{_FLOAT}|\[{_FLOAT}\]", value, re.ASCII) for value in values.values())
        _require(re.fullmatch(r"[a-z_]{1,40}_param", key) and numbers, "XGBoost of another objective")
    told = objective.get("softmax_multiclass_param")
    if name.startswith("multi:"):
        _require(told == {"num_class": str(classes)} and classes > 1, "XGBoost whose numbers of classes differ")
    else:
        _require(told is None and classes == 0, "XGBoost whose numbers of classes differ")
    return groups, width


def _check_xgboost_tree(tree: dict[str, Any], number: int, width: int) -> int:
    """The number of a tree's nodes. Raises RefusedError for keys and lengths that are wrong in it."""
    what = f"XGBoost whose tree {number} is not one"
    _require(list(tree) == sorted([*_ARRAYS, *_SETS, "id", "tree_param"]) and tree["id"] == number, what)
    _require(all(tree[key].dtype == dtype for key, dtype in {**_ARRAYS, **_SETS}.items()), what)
    size = len(tree["parents"])
    param = {"num_deleted": "0", "num_feature": str(width), "num_nodes": str(size), "size_leaf_vector": "1"}
    _require(tree["tree_param"] == param and size > 0 and all(len(tree[key]) == size for key in _ARRAYS), what)
    nodes, sizes = tree["categories_nodes"], tree["categories_sizes"]
    if len(nodes) or len(sizes) or len(tree["categories"]) or len(tree["categories_segments"]):
        first = np.cumsum(sizes) - sizes
        _require((sizes > 0).all() and (sizes <= len(tree["categories"])).all(), what)
        _require(sizes.sum() == len(tree["categories"]) and np.array_equal(tree["categories_segments"], first), what)
    _require(np.array_equal(np.flatnonzero(tree["split_type"]), nodes) and len(nodes) == len(sizes), what)
    return size


def _sets_of(tree: dict[str, Any]) -> int:
    """The bytes that a tree's sets of categories take. Raises RefusedError for categories that cannot be."""
    codes = tree["categories"].astype(np.int64)
    _require((codes >= 0).all(), "XGBoost with categories below zero")
    if not len(codes):
        return 0
    return int(np.maximum.reduceat(codes, tree["categories_segments"]).sum()) // 8 + 8 * len(codes)
