"""The sidecar of a model file, ``<model file>.json``, and which bytes of a model file are trusted.

Unpickling runs code that the file names, so a model file is opened only after its bytes agree with what was recorded
when it was written, and the check is of the very bytes that are then loaded:

1. a SHA-256 that the caller gives;
2. else ``dvc.lock``, for a file that it records;
3. else the sidecar, which is written beside every model.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.kernel.environment import installed_version
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError
from lockstep.kernel.files import not_made
from lockstep.kernel.lock_file import md5_of_bytes, read_lock
from lockstep.kernel.lock_file import outputs as locked_outputs
from lockstep.learning.model_file import sidecar_of

import numpy as np

MODEL_LIBRARIES = ("joblib", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy")
"""Whose versions every model's bytes and predictions depend on."""


def sidecar(
    data: bytes, name: str, about: Mapping[str, Any], libraries: Sequence[str] = MODEL_LIBRARIES
) -> dict[str, Any]:
    """Describe a model file: its name and digests, what is known of its making, the libraries' versions.

    Args:
        data: the bytes of the model file.
        name: its file name.
        about: the task, the target, the features and their types, the training data, the settings.
        libraries: whose versions are written down.
    """
    return {
        "file": name,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "md5": md5_of_bytes(data),
        **plain(about),
        "libraries": {library: installed_version(library) for library in libraries},
    }


def plain(value: Any) -> Any:
    """Make ``value`` what JSON can hold: numbers of NumPy as Python's, anything unknown by the name of its type."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    named = value if hasattr(value, "__qualname__") else type(value)
    return f"{named.__module__}.{named.__qualname__}"


def read_about(path: Path) -> dict[str, Any]:
    """Read what the sidecar of the model file at ``path`` says of its making: all but the file and the libraries.

    Raises:
        IntegrityError: there is no sidecar, it is none, it is not the one that dvc.lock records, or it is of another
            file.
    """
    file = sidecar_of(path)
    try:
        data = _read(file)
    except DataError:
        raise IntegrityError(
            f"{path} has no sidecar {file.name} beside it. Run 'dvc repro', which makes both."
        ) from None
    recorded = _recorded(file)
    if recorded is not None:
        _compare(file, data, *recorded)
    content = _parsed(data, file)
    if content.get("sha256") != hashlib.sha256(_read(path)).hexdigest():
        raise _another(path, file)
    return {key: item for key, item in content.items() if key not in ("file", "size", "sha256", "md5", "libraries")}


def read_trusted(path: Path, sha256: str | None = None) -> bytes:
    """Read the bytes of a model file, once, and check that they are the recorded ones. Raises as load_model."""
    if sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise SettingsError(f"'{sha256}' is not a SHA-256. It has 64 hexadecimal digits; 'sha256sum FILE' prints it.")
    data = _read(path)
    if sha256 is not None:
        found = hashlib.sha256(data).hexdigest()
        if found != sha256.lower():
            raise IntegrityError(
                f"{path} has another SHA-256 than the one given: {found}. It was not opened. Get the file again from "
                "where the digest comes from."
            )
        return data
    recorded = _recorded(path)
    if recorded is not None:
        _compare(path, data, *recorded)
        return data
    file = sidecar_of(path)
    try:
        content = _parsed(_read(file), file)
    except DataError:
        raise IntegrityError(
            f"{path} is recorded nowhere: dvc.lock does not list it, and no sidecar {file.name} stands beside it. "
            "Opening a model can run code that is in it, so it was not opened. If it is yours, put its sidecar beside "
            "it, or say which bytes you trust: --sha256 HEX, or load_model(path, sha256=HEX); 'sha256sum' prints it."
        ) from None
    if content.get("sha256") != hashlib.sha256(data).hexdigest():
        raise _another(path, file)
    return data


def _another(path: Path, file: Path) -> IntegrityError:
    return IntegrityError(
        f"{path} is not the file that its sidecar {file.name} describes: one of them was altered, cut off or replaced. "
        "It was not opened. Copy both again from where they come from."
    )


def _read(path: Path) -> bytes:
    """All bytes of a regular file."""
    try:
        # Without O_NONBLOCK, opening a pipe would wait for its other end.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return file.read()
    except FileNotFoundError:
        raise not_made(path) from None
    except IsADirectoryError:
        pass
    except OSError as error:
        raise MachineError(f"{path} cannot be read: {error.strerror}. Give yourself permission to read it.") from None
    raise DataError(f"{path} is not a regular file. Give the name of a model file.")


def _recorded(path: Path) -> tuple[str, str] | None:
    """(the MD5 that the dvc.lock of the file's repository records of it, the stage that wrote it), or None."""
    place = path.parent.resolve() / path.name  # the file itself may be a link into DVC's cache
    for root in place.parents:
        if (root / "dvc.lock").exists():
            found = locked_outputs(read_lock(root / "dvc.lock").values()).get(place.relative_to(root).as_posix())
            return None if found is None or found[0].md5 is None else (found[0].md5, found[1])
    return None


def _compare(path: Path, data: bytes, md5: str, stage: str) -> None:
    if (found := md5_of_bytes(data)) != md5:
        raise IntegrityError(
            f"{path} is not the file that dvc.lock records for {stage}: its MD5 is {found}, recorded is {md5}. It was "
            f"altered, or comes from another run, and was not opened. 'python -m lockstep repair' brings the "
            "recorded one back; after a change of yours, 'dvc repro' makes and records a new one."
        )


def _parsed(data: bytes, file: Path) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{file} is not a sidecar that Lockstep wrote ({error}).") from None
    if not isinstance(content, dict):
        raise IntegrityError(f"{file} is not a sidecar that Lockstep wrote (it holds no object).")
    return content
