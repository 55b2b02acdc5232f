"""How models are saved and loaded, as compressed pickles (.joblib): the same model always gives the same bytes.

This module is the only one that unpickles anything (tests/house/test_static.py), and only bytes that are as recorded
(sidecar.py).
"""

import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import PicklingError
from typing import Any

from lockstep.kernel.errors import IntegrityError, LockstepError, SettingsError
from lockstep.kernel.files import Outputs
from lockstep.learning.model_file import sidecar_of
from lockstep.learning.own_code import Sealed
from lockstep.saving.sidecar import MODEL_LIBRARIES, read_trusted, sidecar

import joblib
import numpy as np
import pyarrow as pa
from joblib.numpy_pickle import NumpyPickler

PROTOCOL = 5
"""Of the pickle: fixed, since Python's default changes with its version."""


class _CanonicalPickler(NumpyPickler):  # type: ignore[misc]
    """joblib's pickler, but equal strings, and equal NumPy dtypes, are always written as one.

    A pickle refers back to an object that it has written before by the object's identity, not its value. Whether two
    equal strings or dtypes are one object depends on what Python has interned and on whether they were loaded from a
    file: without this, the same model has other bytes when it is trained through the API.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self.buffered = True  # as into a compressed file: no padding that would let arrays be mapped into memory
        self._first: dict[tuple[type, Any], Any] = {}

    def save(self, obj: Any) -> None:
        if type(obj) is str or isinstance(obj, np.dtype):
            obj = self._first.setdefault((type(obj), obj), obj)
        super().save(obj)


def save_model(model: Any, path: Path, code: Mapping[str, str] | None = None) -> None:
    """Write ``model`` as joblib.dump(compress=("gzip", 3)) does: the same model always gives the same bytes.

    Args:
        model: what is saved.
        path: where.
        code: {path of a file of the user's code that the model needs: its SHA-256}; it is opened with these alone.

    Compression brings a checksum with it, so that load_joblib notices a file that was altered. It is Arrow's, which
    brings its own zlib: Python's is the system's, and where that is zlib-ng the same content has other bytes.

    Raises:
        SettingsError: code of the user's made something that cannot be saved.
    """
    memory = io.BytesIO()
    try:
        _CanonicalPickler(memory).dump(Sealed(model, code) if code else model)
    except (PicklingError, AttributeError, TypeError) as error:
        raise SettingsError(
            f"the model cannot be saved: {error}. Functions and classes that it keeps must be defined, with def or "
            "class, at the top of the file or library that they come from."
        ) from error
    path.write_bytes(pa.Codec("gzip", compression_level=3).compress(memory.getbuffer(), asbytes=True))


def write_model(
    outputs: Outputs, path: Path, model: Any, about: Mapping[str, Any], libraries: Sequence[str] = MODEL_LIBRARIES
) -> None:
    """Write ``model`` and its sidecar as outputs of a stage; ``about`` and ``libraries`` are what sidecar() takes."""
    written = b""

    def writer(temporary: Path) -> None:
        nonlocal written
        save_model(model, temporary, about.get("code"))
        written = temporary.read_bytes()

    outputs.write(path, writer)
    outputs.json(sidecar_of(path), sidecar(written, path.name, about, libraries))


def load_joblib(path: str | Path, *, sha256: str | None = None) -> Any:
    """Load a .joblib file, if its bytes are as recorded.

    Args:
        path: the file.
        sha256: the SHA-256 of the file that you trust, in hexadecimal digits; without it, dvc.lock must record the
            file, or a sidecar must stand beside it.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is recorded nowhere, it was altered, it is no model, or it needs code of the user's that is
            another by now. Nothing in it was run.
    """
    path = Path(path)
    data = read_trusted(path, sha256)
    try:
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip; zlib is what joblib.dump(compress=3) writes
        memory = io.BytesIO(stream.decompress(data))
        if not stream.eof or stream.unused_data:  # joblib's own reader never ends at bytes behind the stream
            raise ValueError("it does not end where it should")
        return joblib.load(memory)
    except LockstepError as error:  # the user's code that it needs is another by now
        raise type(error)(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise IntegrityError(
            f"{path} is not a model file that Lockstep wrote ({type(error).__name__}: {error}). Delete it and run 'dvc "
            "repro'."
        ) from None
