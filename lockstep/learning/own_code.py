"""The user's own code: files of the repository's folders for it (docs/own-code.md), read, run, and known by their hash.

A file is looked at first, as a text, to see what it defines: nothing of it runs for that. It runs where it is used, as
a module of its own, from the very bytes whose hash is recorded. It must be one file: what it imported from others of
the repository, DVC would not know of.
"""

import ast
import hashlib
import sys
import traceback
from collections.abc import Mapping
from importlib.abc import SourceLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from lockstep.kernel.errors import IntegrityError, SettingsError, nearest
from lockstep.kernel.paths import OWN_CODE, ROOT, is_safe

_PREFIX = "lockstep_own_"
"""What the names of the modules begin with that such files become."""


def find_file(path: str, where: str) -> Path:
    """Find a file of the user's code: below the working directory, or else where this code is.

    Args:
        path: from the repository's root: ``features/houses.py``.
        where: what names it, for the message.

    Raises:
        SettingsError: it is not a Python file in a folder for such code, or there is none.
    """
    pure = Path(path)
    if not is_safe(path) or len(pure.parts) != 2 or pure.parts[0] not in OWN_CODE or pure.suffix != ".py":
        folders = ", ".join(f"{folder}/NAME.py" for folder in OWN_CODE)
        raise SettingsError(f"{where}: '{path}' is not a file for code of your own. Allowed: {folders}.")
    for root in (Path(), ROOT):
        if (root / pure).is_file():
            return root / pure
    there = sorted(file.name for file in (Path() / pure.parts[0]).glob("*.py"))
    near = f" There are, nearest first: {', '.join(nearest(pure.name, there, 5))}." if there else ""
    raise SettingsError(
        f"{where}: {path} does not exist.{near} 'git checkout HEAD -- {path}' brings back one that was committed."
    )


def read_definitions(path: str, where: str) -> dict[str, ast.stmt]:
    """Find what a file defines at its top level, by name; nothing of it is run.

    Raises:
        SettingsError: see find_file; it is no Python, or it imports another file of the repository.
    """
    file = find_file(path, where)
    tree = _parsed(path, file.read_bytes())
    roots = {entry.stem for entry in file.parents[1].iterdir() if entry.is_dir() or entry.suffix == ".py"}
    found: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        for module in _imported(node):
            if module.split(".")[0] in roots | {""}:
                raise SettingsError(
                    f"{path} line {getattr(node, 'lineno', 1)} imports '{module or '.'}' from this repository. DVC "
                    "would not see when that changes: put what is needed into the file itself, or install it as a "
                    "library."
                )
    for statement in tree.body:
        found |= dict.fromkeys(_names(statement), statement)
    return found


def _parsed(path: str, data: bytes) -> ast.Module:
    try:
        return ast.parse(data, filename=path)
    except (SyntaxError, ValueError) as error:
        line = f" line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        raise SettingsError(f"{path}{line} is not valid Python: {what}. Correct it there.") from None


def _imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports; "" for a relative import."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or "" if not node.level else ""]
    return []


def _names(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module binds."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name for alias in statement.names]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


class _Source(SourceLoader):
    """Runs a module from bytes that were read before, and keeps no compiled copy."""

    def __init__(self, file: Path, data: bytes) -> None:
        self._file, self._data = file, data

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - the interface's
        return str(self._file)

    def get_data(self, path: str | bytes) -> bytes:
        if str(path) != str(self._file):
            raise OSError
        return self._data


def load_module(path: str, where: str, sha256: str | None = None) -> ModuleType:
    """Run a file of the user's code, unless its module is here already, and give the module.

    Args:
        path: from the repository's root.
        where: what names it, for messages.
        sha256: of the file, where only this very one will do.

    Raises:
        SettingsError: see find_file; or the file raised an error.
        IntegrityError: the file is another one.
    """
    file = find_file(path, where).resolve()
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise IntegrityError(
            f"{where} was made with {path} of the SHA-256 {sha256[:12]}..., and that file is another one by now: "
            f"{found[:12]}.... It was not opened: its code could mean something else. 'git checkout COMMIT -- {path}' "
            f"brings back what it was in a commit, 'git log --oneline -- {path}' lists those that changed it; or 'dvc "
            "repro' makes the model anew."
        )
    name = f"{_PREFIX}{Path(path).parts[0]}_{Path(path).stem}"
    known = sys.modules.get(name)
    if known is not None and (known.__file__, getattr(known, "_sha256", None)) == (str(file), found):
        return known
    _parsed(path, data)
    spec = spec_from_loader(name, _Source(file, data))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    module.__dict__["_sha256"], module.__dict__["_path"] = found, path
    sys.modules[name] = module  # before it runs, as import does: a pickle, and a dataclass, look for it there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        said = said_of(error)
        del sys.modules[name]
        raise SettingsError(f"{said}. Correct the file.") from error
    return module


def sha256_of(path: str) -> str:
    """The SHA-256 of a file of the user's code."""
    return hashlib.sha256(find_file(path, path).read_bytes()).hexdigest()


def path_of(model: Any) -> str | None:
    """The file of the user's code that the class of ``model`` is defined in; None if it is in none."""
    module = sys.modules.get(type(model).__module__)
    return str(module.__dict__["_path"]) if module is not None and module.__name__.startswith(_PREFIX) else None


def said_of(error: BaseException) -> str | None:
    """Say where in the user's code an error was raised, and what it says: ``features/houses.py line 7, in features:
    KeyError: 'rooms'``; None if it was not raised in there, nor in what that called."""
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(_PREFIX)]
    paths = {str(module.__file__): str(module.__dict__["_path"]) for module in modules}
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in paths]
    if not own:
        return None
    place = f"{paths[own[-1].filename]} line {own[-1].lineno}"
    if own[-1].name != "<module>":
        place += f", in {own[-1].name}"
    return f"{place}: {type(error).__name__}: {' '.join(str(error).split())}"


class Sealed:
    """A model to be pickled together with the hashes of the user's code that it needs.

    A pickle names functions and classes of that code by their modules. So the first thing that happens when it is
    loaded is that the code's bytes are compared with the hashes, and run; what is loaded is the model itself.

    Args:
        model: what is pickled.
        code: {path of a file of the user's code: its SHA-256}.
    """

    def __init__(self, model: Any, code: Mapping[str, str]) -> None:
        self._model, self._code = model, _Code(code)

    def __reduce__(self) -> tuple[Any, ...]:
        return _second, (self._code, self._model)


class _Code:
    """The hashes; a pickle holds it ahead of what needs the code."""

    def __init__(self, code: Mapping[str, str]) -> None:
        self._code = dict(code)

    def __reduce__(self) -> tuple[Any, ...]:
        return load_code, (self._code,)


def load_code(code: Mapping[str, str]) -> None:
    """Run the files of the user's code that a model needs. Raises IntegrityError if one is another by now, or gone."""
    for path, sha256 in sorted(code.items()):
        try:
            load_module(path, "the model's code", sha256)
        except SettingsError as error:
            raise IntegrityError(f"{error} The model needs it, and was not opened.") from error


def _second(_: object, model: Any) -> Any:
    return model
