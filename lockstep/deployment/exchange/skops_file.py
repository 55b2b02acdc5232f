"""Models as .skops files: loading one runs no code, whoever made it.

A skops file (https://skops.readthedocs.io/en/stable/persistence.html) is a zip of ``schema.json``, a tree of nodes that
each name a type, and of arrays in NumPy's format. Two things are added to skops' own here:

* **A fixed list of nodes and types**, exactly those that Lockstep's models are made of. skops trusts many types by
  default and asks the reader about the rest; here nothing else is looked at. Sizes are checked as they are declared,
  before anything is allocated: skops itself would unpack, and build, whatever the file says.
  LightGBM's and XGBoost's models are read by their own parsers, which trust what they read: boosters.py checks all of
  it first.
* **Canonical bytes.** skops names objects and files by memory addresses; here they are counted in order of appearance,
  so that the same model always gives the same file.
"""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lockstep.deployment.exchange import boosters
from lockstep.deployment.exchange.boosters import RefusedError
from lockstep.kernel.errors import IntegrityError, SettingsError

import numpy as np

SKOPS_PROTOCOL = 2
FREE_SIZE, MAX_RATIO = 1 << 28, 20
"""A file may unpack to 256 MiB, or to 20 times its own size; compressed by skops, models have a sixth of their size.
Loading takes twice what it unpacks to, and five times what it holds of LightGBM's models, 17 times what it holds of
XGBoost's, of whose bytes skops makes a list: these, and the schema, are together not larger than the file, or 16 MiB.
An array, or a model, that several objects name is counted, as skops unpacks it, once for each."""
MAX_SCHEMA, MAX_PARTS, MAX_FILES, MAX_DEPTH = 1 << 24, 1 << 22, 1 << 17, 60
_SCHEMA = "schema.json"

_NUMBERS = ("float64", "float32", "int64", "int32", "uint64", "bool")
_TREE_MODULES = ("sklearn.tree.", "sklearn.ensemble.")
ALLOWED: dict[str, frozenset[str]] = {
    loader: frozenset(names)
    for loader, names in {
        "DictNode": ["builtins.dict", "sklearn.utils._bunch.Bunch"],  # names of the members of a vote
        "ListNode": ["builtins.list"],
        "TupleNode": ["builtins.tuple"],
        "SliceNode": ["builtins.slice"],
        "JsonNode": ["builtins.str"],  # a single text, number, truth value or null
        "TypeNode": [*(f"builtins.{name}" for name in ("str", "int", "float", "bool")), "numpy.float64"],
        "DTypeNode": ["numpy.dtype"],
        "BytearrayNode": ["builtins.bytearray"],  # XGBoost's models
        "NdArrayNode": ["numpy.ndarray", *(f"numpy.{name}" for name in _NUMBERS)],
        "RandomStateNode": ["numpy.random.mtrand.RandomState"],
        "RandomGeneratorNode": ["numpy.random._generator.Generator"],
        "OperatorFuncNode": ["operator.methodcaller", "operator.attrgetter"],  # those in CALLS only
        # What histogram boosting with categories hands its other columns on with; it looks at an array, and no more.
        "FunctionNode": ["sklearn.utils.validation.check_array"],
        "PartialNode": ["functools.partial"],  # of that function only
        "TreeNode": ["sklearn.tree._tree.Tree"],
        "LossNode": [
            f"sklearn._loss._loss.Cy{name}"
            for name in (
                "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss",
                "HalfPoissonLoss", "HalfSquaredError", "HuberLoss", "PinballLoss",
            )
        ],
        "ObjectNode": [
            *boosters.TYPES,
            "sklearn.pipeline.Pipeline",
            "sklearn.compose._column_transformer.ColumnTransformer",
            "sklearn.decomposition._truncated_svd.TruncatedSVD",
            "sklearn.feature_extraction.text.TfidfTransformer",
            "sklearn.feature_extraction.text.TfidfVectorizer",  # of texts that it is given, cut into characters, only
            "sklearn.impute._base.SimpleImputer",
            "sklearn.model_selection._split.KFold",
            "sklearn.model_selection._split.StratifiedKFold",
            "sklearn.preprocessing._data.MinMaxScaler",
            "sklearn.preprocessing._data.RobustScaler",
            "sklearn.preprocessing._data.StandardScaler",
            "sklearn.preprocessing._encoders.OneHotEncoder",
            "sklearn.preprocessing._encoders.OrdinalEncoder",
            "sklearn.preprocessing._function_transformer.FunctionTransformer",
            "sklearn.preprocessing._label.LabelBinarizer",
            "sklearn.preprocessing._label.LabelEncoder",
            "sklearn.preprocessing._target_encoder.TargetEncoder",
            "sklearn.calibration.CalibratedClassifierCV",
            "sklearn.calibration._CalibratedClassifier",
            "sklearn.calibration._SigmoidCalibration",
            "sklearn.calibration._TemperatureScaling",
            "sklearn.dummy.DummyClassifier",
            "sklearn.dummy.DummyRegressor",
            "sklearn.ensemble._forest.ExtraTreesClassifier",
            "sklearn.ensemble._forest.ExtraTreesRegressor",
            "sklearn.ensemble._forest.RandomForestClassifier",
            "sklearn.ensemble._forest.RandomForestRegressor",
            "sklearn.ensemble._gb.GradientBoostingClassifier",
            "sklearn.ensemble._gb.GradientBoostingRegressor",
            "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
            "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
            "sklearn.ensemble._voting.VotingClassifier",
            "sklearn.ensemble._voting.VotingRegressor",
            "sklearn.frozen._frozen.FrozenEstimator",
            "sklearn.isotonic.IsotonicRegression",
            "sklearn.linear_model._base.LinearRegression",
            "sklearn.linear_model._logistic.LogisticRegression",
            "sklearn.linear_model._ridge.Ridge",
            "sklearn.model_selection._classification_threshold.FixedThresholdClassifier",
            "sklearn.neighbors._ball_tree.BallTree",
            "sklearn.neighbors._classification.KNeighborsClassifier",
            "sklearn.neighbors._kd_tree.KDTree",
            "sklearn.neighbors._regression.KNeighborsRegressor",
            "sklearn.neural_network._multilayer_perceptron.MLPClassifier",
            "sklearn.neural_network._multilayer_perceptron.MLPRegressor",
            "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
            "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
            "sklearn.svm._classes.SVC",
            "sklearn.svm._classes.SVR",
            "sklearn.tree._classes.DecisionTreeClassifier",
            "sklearn.tree._classes.DecisionTreeRegressor",
            "sklearn.tree._classes.ExtraTreeClassifier",
            "sklearn.tree._classes.ExtraTreeRegressor",
            *(
                f"sklearn._loss.link.{name}"
                for name in ("HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit")
            ),
            *(
                f"sklearn._loss.loss.{name}"
                for name in (
                    "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss",
                    "HalfPoissonLoss", "HalfSquaredError", "HuberLoss", "PinballLoss",
                )
            ),
            *(
                f"sklearn.metrics._dist_metrics.{name}Distance64"
                for name in ("Chebyshev", "Euclidean", "Manhattan", "Minkowski")
            ),
        ],
    }.items()
}  # fmt: skip
"""{skops' kind of node: the types it may name}."""
_TYPES = ("float64", "str", "timestamp[us][pyarrow]", "int64[pyarrow]")
_PARTS = ("year", "month", "day", "day_of_week", "day_of_year", "hour", "minute")
CALLS = {
    *(f'methodcaller("astype", "{name}")' for name in _TYPES),
    *(f'methodcaller("apply", attrgetter("dt.{part}"))' for part in _PARTS),
    *(f'attrgetter("dt.{part}")' for part in _PARTS),
    *(f'methodcaller("diff", {apart}, 1)' for apart in range(1, 5)),
    'methodcaller("div", 86400000000.0)',
    'methodcaller("fillna", "")',
    'methodcaller("isna")',
}
"""What may be called of ``operator``, arguments as JSON: the casts of lockstep/learning/preprocessing.py and
text_encoding.py, and what date_parts.py makes numbers of dates by."""
_OWN_CODE = ("lockstep.learning.own_features.", "lockstep_own_")
"""What the names of types begin with that run code of the user's: own_features.py, own_code.py."""
_TRUSTED = sorted(name for names in ALLOWED.values() for name in names)
_VALUES = frozenset({"JsonNode", "TypeNode", "TupleNode", "DTypeNode", "SliceNode", "OperatorFuncNode"})
"""Nodes of objects that never change: whether two of them are one object makes no difference."""


def dumps(model: Any) -> bytes:
    """``model`` as the bytes of a skops file, always the same for the same model.

    Raises:
        SettingsError: it has parts that are not on the list.
    """
    from skops import io as skops_io
    from skops.io.exceptions import UnsupportedTypeException

    try:
        data = _canonical(skops_io.dumps(model))
        _check(data)
    except (RefusedError, UnsupportedTypeException, TypeError) as error:
        raise SettingsError(f"this model cannot be written as a skops file: {error}. Use its .joblib file.") from None
    return data


def loads(data: bytes, name: str) -> Any:
    """The model in a skops file that ``dumps`` wrote.

    Args:
        data: the bytes of the file.
        name: what messages call it.

    Raises:
        IntegrityError: it is no such file, it holds anything that is not on the list, or it unpacks to too much.
    """
    try:
        models = _check(data)
        from skops import io as skops_io

        return skops_io.loads(_with_own_settings(data, models), trusted=_TRUSTED)
    except Exception as error:  # a damaged file can raise anything
        what = str(error) if isinstance(error, RefusedError) else f"{type(error).__name__}: {error}"
        raise IntegrityError(
            f"{name} is not a skops file that Lockstep wrote: {what}. Nothing in it was run. Make it anew with 'python "
            "-m lockstep export MODEL --format skops'."
        ) from None


def _with_own_settings(data: bytes, models: dict[str, bytes]) -> bytes:
    """The skops file ``data`` with settings of XGBoost's own making beside its models, which boosters.check gave: those
    in the file were not looked at."""
    made = {file: boosters.whole_model(model) for file, model in models.items()}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if all(archive.read(file) == whole for file, whole in made.items()):
            return data  # XGBoost's version is the one that wrote it
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w") as copy:
            for file in archive.namelist():
                _add(copy, file, made.get(file) or archive.read(file))
    return memory.getvalue()


def _check(data: bytes) -> dict[str, bytes]:
    """Raise RefusedError, or what zipfile and json raise, unless the file holds what is allowed and nothing else. Gives
    the models of XGBoost's in it, as boosters.check does."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_archive(archive, len(data))
        text = archive.read(_SCHEMA)
        parts = sum(text.count(mark) for mark in b"{[,")
        if not text.isascii() or parts > MAX_PARTS:
            raise RefusedError(f"its {_SCHEMA} has {parts:,} parts, or letters; {MAX_PARTS:,} are allowed")
        schema = json.loads(text)
        if not isinstance(schema, dict) or schema.get("protocol") != SKOPS_PROTOCOL:
            raise RefusedError(f"its protocol is not {SKOPS_PROTOCOL}")
        shapes = {name: _array_header(archive, name) for name in archive.namelist() if name.endswith(".npy")}
        everything = list(_nodes(schema))
        for node in everything:
            _check_node(node, shapes)
        nodes = _distinct(everything)
        # skops unpacks a file for each object that names it.
        unpacked = [_SCHEMA, *(node["file"] for node in nodes if "file" in node)]
        _check_sizes([archive.getinfo(name) for name in unpacked], len(data))
        _check_trees(nodes, archive)
        return boosters.check(nodes, archive.read)


def _check_archive(archive: zipfile.ZipFile, packed: int) -> None:
    files = archive.infolist()
    names = [file.filename for file in files]
    if len(names) > MAX_FILES or len(set(names)) < len(names):
        raise RefusedError(f"it holds {len(names):,} files, or two of one name")
    for file in files:
        if file.filename != _SCHEMA and not file.filename.endswith((".npy", ".bin")):
            raise RefusedError(f"it holds the file '{file.filename}'")
        if file.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or file.flag_bits & 1:
            raise RefusedError(f"'{file.filename}' in it is packed in a way that is not used")
    _check_sizes(files, packed)


def _check_sizes(files: Sequence[zipfile.ZipInfo], packed: int) -> None:
    """Raise RefusedError if what is unpacked of a file of ``packed`` bytes is larger than it may be; a file stands
    there as often as it is unpacked."""
    # Lockstep's files are not compressed, whatever their size: nothing in them is larger than they are.
    own = sum(file.file_size for file in files if not file.filename.endswith(".npy"))
    total = sum(file.file_size for file in files)
    for size, limit in (own, max(MAX_SCHEMA, packed)), (total, max(FREE_SIZE, MAX_RATIO * packed)):
        if size > limit:
            what = "it" if size == total else "what is no array in it"
            raise RefusedError(f"{what} unpacks to {size:,} bytes; of a file of its size {limit:,} may be that")


def _array_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of an array, whose declared size must be the size that the file has."""
    with archive.open(name) as file:
        match np.lib.format.read_magic(file):
            case (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            case (2, 0):
                shape, _, dtype = np.lib.format.read_array_header_2_0(file)
            case other:
                raise RefusedError(f"'{name}' is in version {other} of NumPy's format")
        size = archive.getinfo(name).file_size - file.tell()
    declared = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if dtype.hasobject or any(length < 0 for length in shape) or declared != size or (declared == 0 and 0 not in shape):
        raise RefusedError(f"the array '{name}' declares {declared:,} bytes of {dtype} and has {size:,}")
    return shape, dtype


def _nodes(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every mapping in the schema that names a loader, in order of appearance."""
    todo: list[tuple[Any, int]] = [(schema, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise RefusedError(f"it is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            todo += [(item, depth + 1) for item in reversed(list(value.values()))]
        elif isinstance(value, list):
            todo += [(item, depth + 1) for item in reversed(value)]


def _distinct(nodes: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes that skops makes an object of. One whose number it has seen is for it the first one of that number,
    whatever else it says: RefusedError is raised where it says something else. 0, "" and null are no numbers to it."""
    states: dict[Any, Any] = {}
    found = []
    for node in nodes:
        number = node.get("__id__")
        first = states.setdefault(number, node) if number else node
        if first is node:
            found.append(node)
        elif first != node:
            raise RefusedError(f"two different objects have the number {number}")
    return found


def _check_name(node: dict[str, Any]) -> str:
    """The name of the type that a node is of. Raises RefusedError unless it is on the list."""
    loader, name = node["__loader__"], boosters.type_of(node)
    if str(name).startswith(_OWN_CODE):
        raise RefusedError(f"it needs code of your own, of features/ or estimators/ ({name}), which no such file has")
    if not isinstance(loader, str) or name not in ALLOWED.get(loader, ()):
        raise RefusedError(f"it holds the {loader} {name}, which such a file of Lockstep's never has")
    return name


def _check_node(node: dict[str, Any], shapes: dict[str, tuple[tuple[int, ...], np.dtype]]) -> None:
    loader, name = node["__loader__"], _check_name(node)
    match loader:
        case "JsonNode":
            fine = isinstance(node["content"], str) and node["content"].lstrip()[:1] not in ("[", "{")
        case "SliceNode":
            fine = all(isinstance(item, int | None) for item in node["content"].values())
        case "OperatorFuncNode":
            fine = _call_in(node) in CALLS
        case "PartialNode":
            fine = node["content"]["func"]["__loader__"] == "FunctionNode"
        case "BytearrayNode":
            fine = node["file"].endswith(".bin")
        case "NdArrayNode" if node["type"] == "json":
            fine = name == "numpy.ndarray"
        case "NdArrayNode":
            shape, dtype = shapes[node["file"]]
            fine = name == "numpy.ndarray" or (shape == () and dtype.kind in "fiub")
        case "ObjectNode" if node["__class__"] == "TfidfVectorizer":
            fine = _cuts_safely(node["content"]["content"])
        case _:
            fine = True
    if not fine:
        raise RefusedError(f"it holds a {loader} {name} of a form that no model of Lockstep's has")


def _cuts_safely(attributes: dict[str, Any]) -> bool:
    """Whether a TfidfVectorizer takes texts for texts, and not for names of files to read; runs no regular expression
    of the file's; and counts in columns that there are: scikit-learn counts wherever its vocabulary points to."""
    if (attributes["input"]["content"], attributes["analyzer"]["content"]) != ('"content"', '"char"'):
        return False
    fitted = attributes.get("vocabulary_", {"content": {}})["content"]
    return sorted(int(place["content"]) for place in fitted.values()) == list(range(len(fitted)))


def _call_in(node: dict[str, Any]) -> str:
    """A call of ``operator`` as Python writes it. Nothing in it is shared with other nodes: skops would take what it
    has seen under a number for this, whatever this says."""
    if node["__loader__"] == "JsonNode":
        return str(node["content"])
    tuple_of = node.get("attrs", {})
    parts = tuple_of.get("content", ())
    kinds = (node["__loader__"], tuple_of.get("__loader__"))
    if kinds != ("OperatorFuncNode", "TupleNode") or any("__id__" in part for part in (tuple_of, *parts)):
        raise RefusedError("it calls something in a form that no model of Lockstep's has")
    return f"{node['__class__']}({', '.join(map(_call_in, parts))})"


def _check_trees(nodes: list[dict[str, Any]], archive: zipfile.ZipFile) -> None:
    """Decision trees must refer to nodes and features that there are: scikit-learn reads wherever they point to."""

    def array(of: dict[str, Any]) -> np.ndarray:
        found: np.ndarray = np.load(io.BytesIO(archive.read(of["file"])), allow_pickle=False)
        return found

    # Which features each histogram boosting takes for categories: it reads a table of them for those alone.
    categorical = [
        array(node["content"]["content"]["is_categorical_"]) for node in nodes if node["__class__"] == "_BinMapper"
    ]
    widths = set()  # the number of features, of each tree and of each estimator that hands rows on to trees: the same
    for node in nodes:
        if node["__loader__"] == "TreeNode":
            width, classes, n_outputs = node["__reduce__"]["args"]["content"]
            state, per_output = node["content"]["content"], array(classes)
            widths.add(int(width["content"]))
            links = array(state["nodes"])
            fine = per_output.shape == (int(n_outputs["content"]),) and bool((per_output > 0).all())
            fine = fine and links.shape == (int(state["node_count"]["content"]),)
            inner, left, right, feature = links["left_child"] != -1, "left_child", "right_child", "feature"
        elif node["__class__"] == "TreePredictor":
            state = node["content"]["content"]
            links = array(state["nodes"])
            inner, left, right, feature = links["is_leaf"] == 0, "left", "right", "feature_idx"
            sets = [array(state[f"{which}_left_cat_bitsets"]) for which in ("binned", "raw")]
            fine = links.ndim == 1 and len(widths) == 1
            fine = fine and _categories_are_there(links[links["is_categorical"] != 0], sets, categorical, min(widths))
        else:
            attributes = node["content"]["content"] if node["__module__"].startswith(_TREE_MODULES) else {}
            if "n_features_in_" in attributes:
                widths.add(int(attributes["n_features_in_"]["content"]))
            continue
        children, used = np.stack([links[left], links[right]])[:, inner].astype(np.int64), links[feature][inner]
        fine = fine and len(links) > 0 and len(widths) == 1
        fine = fine and bool((children > np.flatnonzero(inner)).all() and (children < len(links)).all())
        if not (fine and (used >= 0).all() and (used < min(widths)).all()):
            raise RefusedError("it holds a decision tree that refers to nodes or features that it does not have")
    if len(widths) > 1:
        raise RefusedError(f"its trees are of {len(widths)} different numbers of features")


def _categories_are_there(
    splits: np.ndarray, sets: list[np.ndarray], categorical: list[np.ndarray], width: int
) -> bool:
    """Whether splits by category refer to sets of categories, 256 bits each, and to features that are categories.

    Args:
        splits: (n_splits,) records, the nodes of a tree that split by category.
        sets: (n_sets, 8) each, the categories that go left.
        categorical: of each histogram boosting in the file, (width,): which features are categories.
        width: the number of features.
    """
    if not len(splits):
        return True
    if any(flags.shape != (width,) for flags in categorical) or any(found.shape[1:] != (8,) for found in sets):
        return False
    numbers, feature = splits["bitset_idx"], splits["feature_idx"]
    return (
        bool(((feature >= 0) & (feature < width)).all())
        and all(bool((numbers < len(found)).all()) for found in sets)
        and all(bool(flags[feature].all()) for flags in categorical)
    )


def _canonical(data: bytes) -> bytes:
    """The skops file ``data`` with numbers and file names in order of appearance, and without times."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(_SCHEMA))
        contents = {name: archive.read(name) for name in archive.namelist() if name != _SCHEMA}
        boosters.simplify(list(_nodes(schema)), contents)
        nodes = list(_nodes(schema))
        for node in nodes:
            _check_name(node)
        contents |= {name: _without_padding(array) for name, array in contents.items() if name.endswith(".npy")}
    shared = Counter(node["__id__"] for node in nodes if node["__loader__"] not in _VALUES)
    numbers: dict[int, int] = {}
    files: dict[bytes, str] = {}
    for node in nodes:
        number = node.pop("__id__")
        if node["__loader__"] not in _VALUES and shared[number] > 1:
            node["__id__"] = numbers.setdefault(number, len(numbers) + 1)
        if "file" in node:
            content, kind = contents[node["file"]], node["file"][-4:]
            node["file"] = files.setdefault(content, f"{len(files) + 1}{kind}")
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        _add(archive, _SCHEMA, json.dumps(schema, separators=(",", ":")).encode())
        for content, name in files.items():
            _add(archive, name, content)
    return memory.getvalue()


def _without_padding(content: bytes) -> bytes:
    """A file in NumPy's format whose records have zeros where they have no field: there is chance memory else."""
    found = np.load(io.BytesIO(content), allow_pickle=False)
    if found.dtype.names is None:
        return content
    clean, memory = np.zeros(found.shape, found.dtype), io.BytesIO()  # not zeros_like, which leaves padding as it is
    for name in found.dtype.names:
        clean[name] = found[name]
    np.save(memory, clean, allow_pickle=False)
    return memory.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    file = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    # Not compressed: zlib, and zlib-ng in its place, give the same content different bytes.
    file.create_system, file.external_attr = 3, 0o600 << 16
    archive.writestr(file, content)
