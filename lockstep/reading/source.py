"""Brings a data file into memory as UTF-8 text: opened with care, unpacked within limits, decoded as declared."""

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import mmap
import re
import shlex
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

PACKED = {
    ".gz": b"\x1f\x8b",
    ".zst": b"\x28\xb5\x2f\xfd",
    ".zip": b"PK\x03\x04",
    ".bz2": b"BZh",
    ".xz": b"\xfd7zXZ\x00",
}
"""The compressed files that are read, by the end of their usual name, and how each begins. The beginning decides."""
FREE_SIZE, MAX_RATIO = 1 << 26, 200
"""A packed file may unpack to 64 MiB, or to 200 times its own size; text rarely packs better than 20 times."""
_END_MARK = b"\x1a"
"""Ctrl-Z, with which DOS ended texts, and programs of its time still do."""
_BLOCK = 1 << 22
_HEAD = 1 << 12
"""Bytes at the beginning that tell what kind of file it is."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # also what is left of one in a path, http:/host
_CONTROL = re.compile("[\x80-\x84\x86-\x9f]")  # 0x85 is a line break of mainframes
BOMS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before the next one, with which it begins
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte-order marks, and the encodings that they declare."""
_SAVE_AS_CSV = "Open it and save its table as CSV (UTF-8)."
_OTHER_FORMATS = {
    b"PAR1": ("a Parquet file", "Name it so (.parquet)."),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("a spreadsheet, or another document, of Microsoft Office", _SAVE_AS_CSV),
    b"%PDF": ("a PDF document", "Get the table that it shows as CSV."),
    b"SQLite format 3\x00": ("an SQLite database", "Export a table of it as CSV: sqlite3 -header -csv FILE QUERY."),
    b"version https://git-lfs": ("a pointer of Git LFS, not the data", "Run 'git lfs pull' where it comes from."),
    b"\x89HDF": ("an HDF5 file", "Read it with pandas and save the table with to_csv or to_parquet."),
    b"ARROW1": ("an Arrow file (Feather)", "Read it with pandas and save the table with to_parquet."),
    b"RDX": ("a file of R (.rda)", "Save the table with R's write.csv."),
    b"\x89PNG": ("a picture (PNG)", "Name the file of the table."),
    b"\xff\xd8\xff": ("a picture (JPEG)", "Name the file of the table."),
    b"{\\rtf": ("an RTF document", _SAVE_AS_CSV),
}
"""What files of other kinds begin with: what each is, and what to do."""
_HTML = re.compile(rb"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|table)\b", re.IGNORECASE | re.DOTALL)
_XML = re.compile(rb"\s*<\?xml\b")
_JSON = re.compile(rb"\s*(\[\s*)*\{\s*(\"([^\"\\]|\\.)*\"\s*:|\})|\s*\[\s*\[")
_JSON_LINES = re.compile(rb"\{[^\n]*\}\r?\n\{")
_JSON_ROW = re.compile(rb"\s*\{\s*\"([^\"\\]|\\.)*\"\s*:\s*[^\s\[{]")  # an object whose first value is a single one
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_SHEETS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
"""In the zip archives that spreadsheets are."""


def data_path(text: str) -> Path:
    """``load.path`` as a path, if it leads to a file in the repository, whose folder this is, or to none yet.

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
        place = path.resolve()
        inside = place.relative_to(Path().resolve()).parts
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
            pull = f", or run 'dvc pull {path}.dvc'" if Path(f"{path}.dvc").is_file() else ""
            raise DataError(
                f"{path} does not exist. Put the file there{pull}, or correct ",
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
        packed: how the file is packed, a key of PACKED; "" if it is not.
        has_end_mark: whether Ctrl-Z stood behind the text, which is no part of it.
    """

    text: pa.Buffer
    mapped: mmap.mmap | None
    packed: str = ""
    has_end_mark: bool = False

    def forget(self, end: int) -> None:
        """Give the memory of the text before ``end`` back. It is read from the file again if it is looked at."""
        if self.mapped is not None:
            end += len(self.mapped) - len(self.text)  # a byte-order mark; what stands behind the text is short
            self.mapped.madvise(mmap.MADV_DONTNEED, 0, end - end % mmap.PAGESIZE)


def open_source(path: Path, encoding: str = "utf-8") -> Source:
    """The content of ``path`` as UTF-8, without a byte-order mark; a plain UTF-8 file is mapped, not copied.

    Args:
        path: a text file, or one packed by gzip, zstd, bzip2, xz or zip (of one file), whatever its name says.
        encoding: what the text is encoded in; a byte-order mark overrules it, and the log says so.
            Whether it really is UTF-8 is checked where its lines are known: in csvfile.

    Raises:
        DataError: the file is missing, empty, unreadable, not what its name says, or unpacks to too much.
    """
    return decoded(unpacked(path), encoding, path)


def unpacked(path: Path) -> Source:
    """The bytes of ``path``, unpacked, in whatever encoding they are. Raises as open_source does."""
    source = unpacked_bytes(path)
    _check_is_text(source.text.slice(0, min(_HEAD, len(source.text))).to_pybytes(), path)
    return source


def unpacked_bytes(path: Path) -> Source:
    """The bytes of ``path``, unpacked, whatever they are.

    Raises:
        DataError: the file is missing, empty, unreadable, or unpacks to too much.
    """
    check_file(path)
    mapped = None
    try:
        packed = _packing(path)
        if packed:
            data = pa.py_buffer(_unpack(path, packed))
        else:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            data = pa.py_buffer(mapped)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Give yourself permission to read it."
        ) from None
    if packed and path.suffix.lower() != packed:
        logger.info("%s is unpacked as %s, which it is by its content", path, packed)
    return Source(data, mapped, packed)


def _packing(path: Path) -> str:
    """How a file is packed, by its first bytes; "" if it is not."""
    with path.open("rb") as file:
        start = file.read(_HEAD)
    found = next((suffix for suffix, magic in PACKED.items() if start.startswith(magic)), "")
    named = path.suffix.lower()
    if not found and named in PACKED and (PACKED[named].startswith(start) or _BINARY.search(start)):
        return named  # damaged, which unpacking says
    return found


def _check_is_text(start: bytes, path: Path) -> None:
    """Raise DataError if a file begins as those of another kind do."""
    if any(start.startswith(magic) for magic in PACKED.values()):
        raise DataError(f"{path} is packed twice. Unpack it once.")
    for magic, (what, remedy) in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise DataError(f"{path} is {what}, not CSV text. {remedy}")
    text = start.removeprefix(codecs.BOM_UTF8)
    if _HTML.match(text):
        raise DataError(
            f"{path} is an HTML page, not a table: perhaps a download that asked for a login, or failed. Download the "
            "CSV file itself."
        )
    if _XML.match(text):
        raise DataError(f"{path} is an XML document, not CSV text. Convert its table to CSV.")
    if _JSON_LINES.match(text):
        raise DataError(f"{path} is JSON lines, not CSV text. {_json_remedy(path, text)}")
    if _JSON.match(text):
        raise DataError(f"{path} is JSON, not CSV text. {_json_remedy(path, text)}")


def _json_remedy(path: Path, start: bytes) -> str:
    """A command that converts a file of JSON that begins so; ``dtype=False``: a text such as 00105 stays one."""
    file = repr(str(path))
    if _JSON_LINES.match(start):
        frame = f"pandas.read_json({file}, lines=True, dtype=False)"
    elif not _JSON_ROW.match(start):
        frame = f"pandas.read_json({file}, dtype=False)"
    elif path.suffix.lower() in PACKED:  # which pandas unpacks
        frame = f"pandas.read_json({file}, typ='series', dtype=False).to_frame().T"
    else:  # each column keeps its type, which a Series of numbers would not
        frame = f"pandas.DataFrame([json.load(open({file}, 'rb'))])"
    modules = "json, pandas" if "json.load" in frame else "pandas"
    command = f"import {modules}; {frame}.to_csv({f'{path.stem}_table.csv'!r}, index=False)"
    return f"Convert it: python -c {shlex.quote(command)}"


def decoded(raw: Source, encoding: str, path: Path) -> Source:
    """What ``unpacked`` gave, as UTF-8. Raises as open_source does."""
    data, mapped, packed, _ = raw
    start = data.slice(0, min(4, len(data))).to_pybytes()
    mark = next((mark for mark in BOMS if start.startswith(mark)), b"")
    if mark:
        marked = BOMS[mark]
        if codecs.lookup(encoding).name != marked:
            logger.info("%s is read as %s, which its byte-order mark declares", path, marked)
        data, encoding = data.slice(len(mark)), marked
        while marked == "utf-8" and data.slice(0, min(3, len(data))).to_pybytes() == mark:
            data = data.slice(len(mark))  # a program that adds a mark was given a file that had one
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        return _without_end_mark(Source(data, mapped, packed), path)
    text = _decode(data.to_pybytes(), encoding, path)
    if not text.isascii():
        # A one-byte encoding decodes anything. What is UTF-8, or gives control characters, was meant to be another one.
        # No text in UTF-8 has a zero byte; any in UTF-16 and UTF-32 has, in its line breaks.
        if b"\0" not in data.slice(0, min(_HEAD, len(data))).to_pybytes() and decodes(data, "utf-8"):
            raise DataError(f"{path} is UTF-8, not {encoding}. Set ", Setting("load.encoding"), " to utf-8.")
        control = _CONTROL.search(text)
        if control:
            line = text.count("\n", 0, control.start()) + 1
            raise DataError(
                f"{path} line {line}: as {encoding}, it holds the control character 0x{ord(control[0]):02X}. Set ",
                Setting("load.encoding"),
                f" to what the file is encoded in{likely_encoding(data.to_pybytes())}.",
            )
    return _without_end_mark(Source(pa.py_buffer(text.encode("utf-8")), None, packed), path)


def _without_end_mark(source: Source, path: Path) -> Source:
    """The text before a Ctrl-Z at the end of a file, where only others and line breaks follow, and before it no half of
    a character of UTF-16 does."""
    begin = max(len(source.text) - _HEAD, 0)
    tail = source.text.slice(begin).to_pybytes()
    mark = tail.find(_END_MARK, len(tail.rstrip(_END_MARK + b"\r\n")))
    if mark < 0 or tail[:mark].endswith(b"\0"):
        return source
    logger.info("%s ends with Ctrl-Z, the mark of DOS for the end of a text, which is no part of it", path)
    return source._replace(text=source.text.slice(0, begin + mark), has_end_mark=True)


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


def _unpack(path: Path, packed: str) -> memoryview:
    limit = max(FREE_SIZE, MAX_RATIO * path.stat().st_size)
    out = io.BytesIO()
    try:
        with _opened(path, packed) as stream:
            while block := stream.read(_BLOCK):
                out.write(block)
                if out.tell() > limit:
                    raise DataError(
                        f"{path} unpacks to more than {limit:,} bytes, {MAX_RATIO} times its size: no table does. If "
                        "this one does, unpack it yourself and set ",
                        Setting("load.path"),
                        " to the unpacked file.",
                    )
    except (
        *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError),
    ) as error:
        raise DataError(f"{path} cannot be unpacked: {error}. It is damaged, or not a {packed} file.") from None
    if not out.tell():
        raise DataError(f"{path} is empty when unpacked. Put a CSV file with a header line there.")
    return out.getbuffer()


@contextlib.contextmanager
def _opened(path: Path, packed: str) -> Iterator[IO[bytes]]:
    match packed:
        case ".gz":
            with gzip.open(path) as stream:
                yield stream  # type: ignore[misc]
        case ".bz2":
            with bz2.open(path) as stream:
                yield stream
        case ".xz":
            with lzma.open(path) as stream:
                yield stream
        case ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                yield stream
        case _:
            with zipfile.ZipFile(path) as archive:
                if not set(_SHEETS).isdisjoint(archive.namelist()):
                    raise DataError(f"{path} is a spreadsheet, not CSV text. {_SAVE_AS_CSV}")
                # Beside the file, macOS packs a folder of its own remarks on it.
                names = [
                    name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")
                ]
                if len(names) != 1:
                    raise DataError(f"{path} holds {len(names)} files; it must hold one. Unpack it and choose.")
                with archive.open(names[0]) as stream:
                    yield stream
