"""Saves and loads models."""

import io
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from joblib.compressor import BinaryZlibFile
from joblib.numpy_pickle import NumpyPickler

from lockstep.errors import DataError, IntegrityError

PROTOCOL = 5
"""Of the pickle: fixed, since Python's default changes with its version."""


class _CanonicalPickler(NumpyPickler):  # type: ignore[misc]
    """joblib's pickler, but equal strings, and equal NumPy dtypes, are always written as one.

    A pickle refers back to an object that it has written before by the object's identity, not its value. Whether two
    equal
    strings or dtypes are one object depends on what Python has interned and on whether they were loaded from a file:
    without this, the same model has other bytes when it is trained through the API.
    """

    def __init__(self, file: BinaryZlibFile) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self._first: dict[tuple[type, Any], Any] = {}

    def save(self, obj: Any) -> None:
        if type(obj) is str or isinstance(obj, np.dtype):
            obj = self._first.setdefault((type(obj), obj), obj)
        super().save(obj)


def save_model(model: Any, path: Path) -> None:
    """Write ``model`` as joblib.dump(compress=3) does: the same model always gives the same bytes.

    Compression brings a checksum with it, so that load_model notices a file that was altered.
    """
    with BinaryZlibFile(str(path), "wb", compresslevel=3) as file:
        _CanonicalPickler(file).dump(model)


def load_model(path: Path) -> Any:
    """Read what save_model wrote. A file that was altered fails its checksum: IntegrityError.

    Loading runs code that the file names: load only files that you or your pipeline wrote.
    """
    try:
        stream = zlib.decompressobj()
        memory = io.BytesIO(stream.decompress(path.read_bytes()))
        if not stream.eof or stream.unused_data:  # joblib's own reader never ends at bytes behind the stream
            raise ValueError("it does not end where it should")
        return joblib.load(memory)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except PermissionError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise IntegrityError(
            f"{path} is not a model file as it was written ({type(error).__name__}: {error}). Delete it and run 'dvc "
            "repro'."
        ) from None
