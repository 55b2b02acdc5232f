"""Brings a data file into memory as UTF-8 text: opened with care, unpacked within limits, decoded as declared."""

import codecs
import contextlib
import gzip
import io
import mmap
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from lockstep.kernel.errors import DataError, Setting, SettingsError
from lockstep.kernel.log import logger
from lockstep.reading.encodings import plausible_readings

import pyarrow as pa

PACKED = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd", ".zip": b"PK\x03\x04"}
"""The compressed files that are read, by the end of their name, and how each begins."""
FREE_SIZE, MAX_RATIO = 1 << 26, 200
"""A packed file may unpack to 64 MiB, or to 200 times its own size; text rarely packs better than 20 times."""
_BLOCK = 1 << 22
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # also what is left of one in a path, http:/host
_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")  # 0x85 is a line break of mainframes
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_OTHER_FORMATS = {**{magic: f"packed ({suffix})" for suffix, magic in PACKED.items()}, b"PAR1": "a Parquet file"}


def data_path(text: str, root: Path = Path()) -> Path:
    """``load.path`` as a path, if it leads to a file in the repository whose folder is ``root``, or to none yet.

    Settings come with the repository and may be anybody's: they must not make it read the reader's other files, or the
    network, or a pipe that never ends.

    Raises:
        SettingsError: a URL, a path upwards or out of the repository, also by a link, or into git's or DVC's folder, or
            to something that is no regular file.
    """
    path = Path(text)
    if _URL.match(text):
        raise SettingsError(
            Setting("load.path"),
            f" is the URL {text}. Data is read from files in the repository only: download it, then 'python -m "
            "lockstep add FILE'.",
        )
    try:
        place = (root / path).resolve()
        inside = place.relative_to(root.resolve()).parts
        fine = ".." not in path.parts and inside[:1] not in ((".git",), (".dvc",)) and text.isprintable()
        fine = fine and (place.is_file() or not place.exists())
    except (ValueError, OSError, RuntimeError):  # elsewhere, no text for a path, links in a circle
        fine = False
    if not fine:
        raise SettingsError(
            Setting("load.path"),
            f" is {text!r}, which does not lead to a file in the repository. Put the file itself, no link, below "
            "data/raw: 'python -m lockstep add FILE' does it.",
        )
    return path


def check_file(path: Path) -> None:
    """Raise DataError unless ``path`` is a regular file with something in it."""
    if _URL.match(str(path)):
        raise DataError(f"{path} is a URL, and nothing is read from the network. Download the file, then name it.")
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(
                f"{path} does not exist. Put the file there, or run 'dvc pull {path}.dvc' if DVC tracks it, or "
                "correct ",
                Setting("load.path"),
                ".",
            ) from None
        raise DataError(f"{path} cannot be read: {error.strerror}. Give yourself permission to read it.") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DataError(f"{path} is {kind}. Set ", Setting("load.path"), " to a CSV file.")
    if status.st_size == 0:
        raise DataError(f"{path} is empty. Put a CSV file with a header line there.")


class Source(NamedTuple):
    """A data file's text.

    Attributes:
        text: as UTF-8, without a byte-order mark, once it is decoded.
        mapped: the file in the process's address space, if ``text`` is a part of it and no copy.
    """

    text: pa.Buffer
    mapped: mmap.mmap | None

    def forget(self, end: int) -> None:
        """Give the memory of the text before ``end`` back. It is read from the file again if it is looked at."""
        if self.mapped is not None:
            end += len(self.mapped) - len(self.text)  # a byte-order mark
            self.mapped.madvise(mmap.MADV_DONTNEED, 0, end - end % mmap.PAGESIZE)


def open_source(path: Path, encoding: str = "utf-8") -> Source:
    """The content of ``path`` as UTF-8, without a byte-order mark; a plain UTF-8 file is mapped, not copied.

    Args:
        path: a text file, or one packed by gzip (.gz), zstd (.zst) or zip (.zip, of one file).
        encoding: what the text is encoded in; a byte-order mark of UTF-8 or UTF-16 overrules it, and the log says so.
            Whether it really is UTF-8 is checked where its lines are known: in csvfile.

    Raises:
        DataError: the file is missing, empty, unreadable, not what its name says, or unpacks to too much.
    """
    return decoded(unpacked(path), encoding, path)


def unpacked(path: Path) -> Source:
    """The bytes of ``path``, unpacked, in whatever encoding they are. Raises as open_source does."""
    check_file(path)
    mapped = None
    try:
        if path.suffix.lower() in PACKED:
            data = pa.py_buffer(_unpack(path))
        else:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            data = pa.py_buffer(mapped)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Give yourself permission to read it."
        ) from None
    start = data.slice(0, min(4, len(data))).to_pybytes()
    for magic, what in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataError(f"{path} is {what}, not CSV text. Name it so (.gz, .zst, .zip, .parquet), or convert it.")
    return Source(data, mapped)


def decoded(raw: Source, encoding: str, path: Path) -> Source:
    """What ``unpacked`` gave, as UTF-8. Raises as open_source does."""
    data, mapped = raw
    start = data.slice(0, min(4, len(data))).to_pybytes()
    for mark, marked in _BOMS.items():
        if start.startswith(mark):
            if codecs.lookup(encoding).name != marked:
                logger.info("%s is read as %s, which its byte-order mark declares", path, marked)
            data, encoding = data.slice(len(mark)), marked
    if codecs.lookup(encoding).name in ("utf-8", "ascii"):
        return Source(data, mapped)
    text = _decode(data.to_pybytes(), encoding, path)
    if not text.isascii():
        # A one-byte encoding decodes anything. What is UTF-8, or gives control characters, was meant to be another one.
        if decodes(data, "utf-8"):
            raise DataError(f"{path} is UTF-8, not {encoding}. Set ", Setting("load.encoding"), " to utf-8.")
        control = _CONTROL.search(text)
        if control:
            line = text.count("\n", 0, control.start()) + 1
            raise DataError(
                f"{path} line {line}: as {encoding}, it holds the control character 0x{ord(control[0]):02X}. Set ",
                Setting("load.encoding"),
                f" to what the file is encoded in{likely_encoding(data.to_pybytes())}.",
            )
    return Source(pa.py_buffer(text.encode("utf-8")), None)


def _decode(data: bytes, encoding: str, path: Path) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, "replace").count("\n") + 1
        raise DataError(
            f"{path} line {line}: the byte 0x{data[error.start]:02X} is not {encoding}. Set ",
            Setting("load.encoding"),
            f" to what the file is encoded in{likely_encoding(data)}.",
        ) from None


def decodes(data: pa.Buffer, encoding: str) -> bool:
    """Whether all of ``data`` is text of ``encoding``."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for start in range(0, len(data), _BLOCK):
            decoder.decode(data.slice(start, min(_BLOCK, len(data) - start)).to_pybytes())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def likely_encoding(data: bytes) -> str:
    """', perhaps cp1252' or nothing, for a message."""
    found = [reading.encodings[0] for reading in plausible_readings(pa.py_buffer(data))]
    return f", perhaps {' or '.join(found[:3])}" if found else ""


def _unpack(path: Path) -> memoryview:
    limit = max(FREE_SIZE, MAX_RATIO * path.stat().st_size)
    out = io.BytesIO()
    try:
        with _opened(path) as stream:
            while block := stream.read(_BLOCK):
                out.write(block)
                if out.tell() > limit:
                    raise DataError(
                        f"{path} unpacks to more than {limit:,} bytes, {MAX_RATIO} times its size: no table does. If "
                        "this one does, unpack it yourself and set ",
                        Setting("load.path"),
                        " to the unpacked file.",
                    )
    except (zlib.error, zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}. It is damaged, or not a {path.suffix} file.") from None
    if not out.tell():
        raise DataError(f"{path} is empty when unpacked. Put a CSV file with a header line there.")
    return out.getbuffer()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    match path.suffix.lower():
        case ".gz":
            with gzip.open(path) as stream:
                yield stream  # type: ignore[misc]
        case ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield stream
        case _:
            with zipfile.ZipFile(path) as archive:
                # Beside the file, macOS packs a folder of its own remarks on it.
                names = [
                    name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")
                ]
                if len(names) != 1:
                    raise DataError(f"{path} holds {len(names)} files; it must hold one. Unpack it and choose.")
                with archive.open(names[0]) as stream:
                    yield stream
