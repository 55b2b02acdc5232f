"""Any scikit-learn compatible estimator, by the name that ``train.estimator`` gives it: a class of a library that is
installed, or of a file of the repository.

Whether a name can be right is seen without running anything of what it names: ``check_name``. ``load_estimator`` runs
it.
"""

import ast
import contextlib
import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Mapping
from importlib.metadata import packages_distributions, version
from typing import Any, NamedTuple

from lockstep.kernel.environment import LIBRARIES
from lockstep.kernel.errors import MachineError, SettingsError, nearest
from lockstep.learning.own_code import load_module, read_definitions, said_of

from sklearn.base import BaseEstimator

WHERE = "train.estimator"
_FORMS = (
    "Allowed: a class of an installed library, as sklearn.linear_model:ElasticNet or, with its version, "
    "lightgbm==4.6.0:LGBMClassifier; or of a file of this repository, as estimators/mine.py:Mine"
)
_NAME = re.compile(
    r"(?:(?P<path>[^:=]+/[^:=]*|[^:=]+\.py)|(?P<module>[A-Za-z_][\w.]*)(?:==(?P<version>[^:=\s]+))?):(?P<name>\w+)"
)


class EstimatorName(NamedTuple):
    """What ``train.estimator`` says.

    Attributes:
        path: of the file of the repository; "" for a library's.
        module: of the library; "" for a file's.
        version: that the library must have; "" for any.
        name: of the class.
    """

    path: str
    module: str
    version: str
    name: str

    @property
    def library(self) -> str:
        """The library as it is installed; "" of a file. Raises SettingsError where it is not."""
        return "" if self.path else _distribution(self.module.split(".")[0])


def parse_name(text: str | None) -> EstimatorName:
    """Read ``train.estimator``. Raises SettingsError for what names no class."""
    if text is None:
        raise SettingsError(f"{WHERE} is missing, and train.model is custom. {_FORMS}.")
    match = _NAME.fullmatch(text)
    if match is None:
        raise SettingsError(f"{WHERE}: '{text}' names no class. {_FORMS}.")
    return EstimatorName(*(match[part] or "" for part in EstimatorName._fields))


def check_name(text: str | None) -> EstimatorName:
    """Look whether there is the file with the class, or the library in its version; nothing of it is imported.

    Raises:
        SettingsError: there is none.
        MachineError: the library is here in another version.
    """
    given = parse_name(text)
    if given.path:
        if given.path.split("/")[0] != "estimators":
            raise SettingsError(f"{WHERE}: '{given.path}' is not in the folder estimators/. {_FORMS}.")
        found = read_definitions(given.path, WHERE)
        if given.name not in found:
            classes = [name for name, node in found.items() if isinstance(node, ast.ClassDef)]
            raise SettingsError(f"{WHERE}: {given.path} defines no '{given.name}'.{_near(given.name, classes)}")
        return given
    library = given.library
    if given.version and version(library) != given.version:
        raise MachineError(
            f"{WHERE} is of {library} {given.version}; here is {version(library)}. Install that version, or name this "
            "one there: the model is then trained anew."
        )
    return given


def load_estimator(text: str | None) -> type[BaseEstimator]:
    """Import the class that ``train.estimator`` names.

    Raises:
        SettingsError: see check_name; there is no such module or class, or it is no estimator.
        MachineError: see check_name.
    """
    given = check_name(text)
    module = load_module(given.path, WHERE) if given.path else _module(given.module)
    found = getattr(module, given.name, None)
    place = given.path or given.module
    if found is None:
        classes = [name for name, value in vars(module).items() if inspect.isclass(value) and hasattr(value, "predict")]
        raise SettingsError(f"{WHERE}: {place} has no '{given.name}'.{_near(given.name, classes)}")
    lacking = [name for name in ("fit", "predict", "get_params", "set_params") if not hasattr(found, name)]
    if not inspect.isclass(found) or lacking:
        what = f"lacks {', '.join(lacking)}" if inspect.isclass(found) else "is no class"
        raise SettingsError(
            f"{WHERE}: '{given.name}' of {place} {what}. Allowed: a class with scikit-learn's interface, which derives "
            "from sklearn.base.BaseEstimator and ClassifierMixin or RegressorMixin."
        )
    return found


def hyperparameters_of(estimator: type[BaseEstimator]) -> tuple[set[str], bool]:
    """(the names that the constructor takes, whether it takes any other name too)"""
    parameters = inspect.signature(estimator).parameters.values()
    named = {one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    takes_all = any(one.kind == one.VAR_KEYWORD for one in parameters)
    if takes_all:  # those of the classes that it derives from
        with contextlib.suppress(Exception):  # one that needs arguments: what it names itself is all that is known
            named |= set(estimator().get_params(deep=False))
    return named, takes_all


def is_near(name: str, known: set[str]) -> bool:
    """Whether ``name`` is likely to be one of ``known``, mistyped."""
    return bool(difflib.get_close_matches(name, known, 1, cutoff=0.8))


def untracked_library(text: str | None) -> str | None:
    """The library of ``train.estimator`` if DVC would not see that its version changed: ``catboost==1.2``; None where
    it would, or a file is named."""
    given = parse_name(text)
    if given.path or given.version or given.library in LIBRARIES:
        return None
    return f"{given.module}=={version(given.library)}"


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise SettingsError(
            f"{WHERE}: {name} cannot be imported: {said_of(error) or f'{type(error).__name__}: {error}'}."
        ) from error


@functools.cache
def _installed() -> Mapping[str, list[str]]:
    """{package: the libraries that it is installed by}: to look takes a tenth of a second."""
    return packages_distributions()


def _distribution(package: str) -> str:
    """The library that a package is installed by. Raises SettingsError: by none."""
    installed = _installed()
    if package in installed:
        return installed[package][0]
    near = difflib.get_close_matches(package, [name for name in installed if not name.startswith("_")], 3, cutoff=0.6)
    raise SettingsError(
        f"{WHERE}: no installed library has a package '{package}'.{_near(package, near)} 'pip install' brings one in. "
        f"{_FORMS}."
    )


def _near(name: str, known: list[str]) -> str:
    found = nearest(name, known, 5) if known else []
    return f" Nearest: {', '.join(found)}." if found else ""
