"""What files are opened: packed, encoded in other ways, damaged, or made to burst."""

import bz2
import gzip
import io
import lzma
import re
import resource
import shlex
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

from lockstep.kernel.errors import DataError
from lockstep.reading import source
from lockstep.reading.csvfile import Dialect

import pandas as pd
import pyarrow as pa
import pytest
from csv_cells import read_csv

TEXT = 'name,note\nMüller,"x,\n1 €"\nŁódź,\n'
ROWS = [("Müller", "x,\n1 €"), ("Łódź", "")]
WESTERN = 'name,note\nMüller,"x,\n1"\nJosé,\n'
WESTERN_ROWS = [("Müller", "x,\n1"), ("José", "")]


def gz(data):
    return gzip.compress(data)


def zst(data):
    return pa.compress(data, codec="zstd", asbytes=True)


def zipped(data, *names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names or ("table.csv",):
            archive.writestr(name, data)
    return stream.getvalue()


PACK = {".gz": gz, ".zst": zst, ".zip": zipped, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.fixture
def file(tmp_path):
    def write(data, name="f.csv"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def rows(path, *dialect):
    return list(zip(*(column.to_pylist() for column in read_csv(path, *dialect).cells.columns), strict=True))


def refusal(path, encoding="utf-8"):
    with pytest.raises(DataError) as caught:
        read_csv(path, Dialect(encoding=encoding))
    return str(caught.value).replace(str(path), "F")


@pytest.mark.parametrize("suffix", PACK)
def test_packed_files_are_unpacked(file, suffix):
    assert rows(file(PACK[suffix](TEXT.encode()), f"f.csv{suffix}")) == ROWS
    assert rows(file(PACK[suffix](TEXT.encode()), f"F.CSV{suffix.upper()}")) == ROWS


@pytest.mark.parametrize("suffix", PACK)
def test_packed_files_of_another_encoding(file, suffix):
    path = file(PACK[suffix](WESTERN.encode("cp1252")), f"f.csv{suffix}")
    assert rows(path, Dialect(encoding="cp1252")) == WESTERN_ROWS
    assert rows(file(PACK[suffix](TEXT.encode("utf-16")), f"f.csv{suffix}")) == ROWS


def test_a_zip_file_may_have_a_folder_but_only_one_file(file):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("folder/f.csv", TEXT)
    assert rows(file(stream.getvalue(), "f.zip")) == ROWS
    assert rows(file(zipped(TEXT.encode(), "a.csv", "__MACOSX/._a.csv"), "f.zip")) == ROWS
    message = refusal(file(zipped(TEXT.encode(), "a.csv", "b.csv"), "f.zip"))
    assert message == "F holds 2 files; it must hold one. Unpack it and choose."
    assert refusal(file(zipped(TEXT.encode(), "a/", "b/"), "f.zip")).startswith("F holds 0 files; it must hold one.")


def test_a_zip_file_with_a_password(file):
    data = bytearray(zipped(TEXT.encode()))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1  # the flag "encrypted"
    assert refusal(file(bytes(data), "f.zip")).startswith("F cannot be unpacked: ")


@pytest.mark.parametrize("suffix", PACK)
def test_every_cut_of_a_packed_file_is_refused(file, suffix):
    text = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(50))
    data = PACK[suffix](text.encode())
    for length in range(1, len(data)):
        message = refusal(file(data[:length], f"f.csv{suffix}"))
        assert message.startswith(("F cannot be unpacked: ", "F is empty when unpacked.")), (length, message)


@pytest.mark.parametrize("suffix", [".gz", ".zip"])  # zstd files carry a checksum only where their writer wants one
def test_a_flipped_bit_is_refused_or_harmless(file, suffix):
    text = "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(50))
    data = PACK[suffix](text.encode())
    expected = [(str(i), str(i * i)) for i in range(50)]
    misread = []
    for position in range(len(data)):
        broken = bytearray(data)
        broken[position] ^= 1 << position % 8
        try:
            found = rows(file(bytes(broken), f"f.csv{suffix}"))
        except DataError:
            continue
        if found != expected:
            misread.append(position)
    assert misread == []


@pytest.mark.parametrize("suffix", PACK)
def test_the_content_tells_what_is_packed_and_not_the_name(file, suffix):
    assert source.open_source(file(TEXT.encode(), f"f.csv{suffix}")).text.to_pybytes() == TEXT.encode()
    for name in ("f.csv", "f.csv.gz", "f.txt.zip"):
        found = source.open_source(file(PACK[suffix](TEXT.encode()), name))
        assert (found.text.to_pybytes(), found.packed) == (TEXT.encode(), suffix)
    assert (
        refusal(file(PACK[suffix](PACK[suffix](TEXT.encode())), f"f.csv{suffix}"))
        == "F is packed twice. Unpack it once."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "F is a spreadsheet, or another document, of Microsoft"),
        (
            zipped(b"<workbook/>", "xl/workbook.xml", "xl/styles.xml"),
            "F is a spreadsheet, not CSV text. Open it and save",
        ),
        (b"%PDF-1.7\n%\xe2\xe3", "F is a PDF document, not CSV text. Get the table"),
        (b"SQLite format 3\x00" + bytes(80), "F is an SQLite database, not CSV text. Export a table"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "F is a pointer of Git LFS, not the data"),
        (
            b"\n<!DOCTYPE html>\n<html><p>Sign in, please</p></html>",
            "F is an HTML page, not a table: perhaps a download",
        ),
        (b"\xef\xbb\xbf<table><tr><td>1</td></tr></table>", "F is an HTML page"),
        (b"<?xml version='1.0'?><rows><row/></rows>", "F is an XML document, not CSV text."),
        (b'{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n', "F is JSON lines, not CSV text. Convert it: python -c"),
        (b'[{"a": 1, "b": 2}]', "F is JSON, not CSV text."),
        (b'{\n  "data": [1, 2]\n}', "F is JSON, not CSV text."),
        (b"[[1, 2], [3, 4]]", "F is JSON, not CSV text."),
        (b"\x89HDF\r\n\x1a\n" + bytes(20), "F is an HDF5 file, not CSV text."),
        (b"ARROW1\x00\x00" + bytes(20), "F is an Arrow file (Feather), not CSV text."),
        (b"\x89PNG\r\n" + bytes(20), "F is a picture (PNG), not CSV text."),
    ],
)
def test_files_of_another_kind_are_named(file, content, message):
    assert refusal(file(content)).startswith(message)


@pytest.mark.parametrize(
    ("content", "table"),
    [
        (b'\xef\xbb\xbf{\n "code": "00105", "n": 1, "x": 2.5, "gap": null}', "code,n,x,gap\n00105,1,2.5,\n"),
        (b'[{"code": "00105", "date": "2024-01-02"}]', "code,date\n00105,2024-01-02\n"),
        (b'{"code": "00105"}\n{"code": "7"}\n', "code\n00105\n7\n"),
        (b'{"code": {"0": "00105"}}', "code\n00105\n"),
    ],
)
def test_the_command_that_converts_json_does_so(tmp_path, content, table):
    path = tmp_path / "a b.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_csv(path)
    program = shlex.split(str(caught.value).partition("Convert it: ")[2])
    subprocess.run([sys.executable, *program[1:]], cwd=tmp_path, check=True)
    assert (tmp_path / "a b_table.csv").read_text() == table


@pytest.mark.parametrize("header", ["{a},b", "[x],y", "<a>,b", "version,b", '"{",b', "BZ,h"])
def test_names_that_look_like_another_kind_are_text(file, header):
    text = f"{header}\n1,2\n".encode()
    assert source.open_source(file(text)).text.to_pybytes() == text


def test_marks_at_the_beginning_are_no_part_of_a_name(file):
    assert source.open_source(file(b"\xef\xbb\xbf" * 3 + b"a,b\n1,2\n")).text.to_pybytes() == b"a,b\n1,2\n"


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("mark", ["\x1a", "\x1a\n", "\r\n\x1a\x1a\x1a\r\n"])
def test_the_mark_of_dos_at_the_end_is_no_part_of_the_last_cell(file, caplog, encoding, mark):
    text = 'a,b\n1,\x1a\n2,"\x1a"\n3,é'
    with caplog.at_level("INFO"):
        found = source.open_source(file((text + mark).encode(encoding)), encoding)
    assert found.text.to_pybytes().decode() == text + mark.partition("\x1a")[0]
    assert found.has_end_mark
    assert "ends with Ctrl-Z, the mark of DOS for the end of a text" in caplog.text
    assert not source.open_source(file(text.encode(encoding)), encoding).has_end_mark


@pytest.mark.parametrize("suffix", PACK)
def test_nothing_packed(file, suffix):
    assert refusal(file(PACK[suffix](b""), f"f.csv{suffix}")).startswith("F is empty when unpacked.")


def test_parquet_named_csv(file, tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "f.csv")
    assert refusal(tmp_path / "f.csv").startswith("F is a Parquet file, not CSV text. Name it so (")


BOMB_SIZE = 1 << 30
BOMB = """
import resource, sys
from pathlib import Path
from lockstep.intake.detecting.csv_detection import whole_table
from lockstep.kernel.errors import DataError
from lockstep.reading.csvfile import CsvFile
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    whole_table(CsvFile(Path(sys.argv[1])))
except DataError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def write_bomb(path):
    block = bytes(1 << 20)
    opened = {
        ".gz": partial(gzip.GzipFile, compresslevel=1),
        ".bz2": partial(bz2.BZ2File, compresslevel=1),
        ".xz": partial(lzma.LZMAFile, preset=0),
    }.get(path.suffix)
    if opened is not None:
        with opened(path, mode="wb") as stream:
            for _ in range(BOMB_SIZE >> 20):
                stream.write(block)
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            for _ in range(BOMB_SIZE >> 20):
                stream.write(block)
    else:
        with (
            zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open("f.csv", "w") as stream,
        ):
            for _ in range(BOMB_SIZE >> 20):
                stream.write(block)


@pytest.mark.parametrize("suffix", PACK)
@pytest.mark.exhaustive
def test_a_bomb_is_refused_in_seconds_and_little_memory(tmp_path, suffix):
    path = tmp_path / f"f.csv{suffix}"
    write_bomb(path)
    # More than 200 times the packed size is refused; gzip packs at most 1,032 times, at this level less.
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", BOMB, path], capture_output=True, text=True, timeout=60, check=True)
    *message, megabytes = done.stdout.splitlines()
    assert re.search(r"unpacks to more than [0-9,]+ bytes, 200 times its size: no table does\.", " ".join(message))
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 10
    assert int(megabytes) < 2.5 * max(source.FREE_SIZE, source.MAX_RATIO * path.stat().st_size) / 2**20 + 100


def test_a_table_that_packs_well_is_no_bomb(file):
    text = b"a,b\n" + b"1000000,0\n" * 200_000
    assert len(rows(file(gz(text), "f.csv.gz"))) == 200_000


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
    ],
)
@pytest.mark.parametrize("declared", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("text", [TEXT, "name,ś\nx,1\n"])  # the bytes of the second are UTF-8 in any encoding
def test_a_byte_order_mark_overrules_the_setting(file, caplog, encoding, mark, declared, text):
    caplog.set_level("INFO")
    path = file(mark + text.encode(encoding))
    assert rows(path, Dialect(encoding=declared)) == (ROWS if text == TEXT else [("x", "1")])
    said = [f"{path} is read as {encoding}, which its byte-order mark declares"] if encoding != declared else []
    assert caplog.messages == said


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_utf_16_without_a_mark_is_refused_or_declared(file, encoding):
    path = file(TEXT.encode(encoding))
    assert refusal(path).startswith(("F line 1: a NUL byte: this is not text.", "F line 1: the byte "))
    assert rows(path, Dialect(encoding=encoding)) == ROWS


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso-8859-15", "windows-1252"])
def test_declared_western_encodings(file, encoding):
    assert rows(file(WESTERN.encode(encoding)), Dialect(encoding=encoding)) == WESTERN_ROWS


def test_declared_encodings_of_other_scripts(file):
    for encoding, text in {"cp1251": "Москва", "shift_jis": "東京", "gb18030": "北京", "cp1250": "Łódź"}.items():
        path = file(f"a,b\n{text},1\n".encode(encoding))
        assert rows(path, Dialect(encoding=encoding)) == [(text, "1")]


def test_a_wrong_encoding_is_named_with_its_line_and_a_suggestion(file):
    text = "name,town\n" + "Ann,York\n" * 3 + "José,Málaga\nZoë,Besançon\n"
    message = refusal(file(text.encode("cp1252")))
    assert message == (
        "F line 5: the byte 0xE9 is not UTF-8. Set load.encoding to what the file is encoded in, perhaps cp1252 or "
        "cp1257."
    )
    message = refusal(file("name,town\nAnn,York\nx,\u0107\n".encode("cp1252", "replace") + b"\x81,1\n"), "cp1252")
    assert message.startswith("F line 4: the byte 0x81 is not cp1252. Set load.encoding to what the file is encoded in")
    message = refusal(file(TEXT.encode("utf-16-le")[:-1]), "utf-16-le")
    assert re.match(r"F line 4: the byte 0x\w\w is not utf-16-le\. ", message)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig"])
def test_utf_8_declared_as_its_kin_is_still_utf_8(file, encoding):
    assert rows(file(TEXT.encode()), Dialect(encoding=encoding)) == ROWS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_utf_8_declared_as_something_else_is_told(file, encoding):
    text = TEXT if len(TEXT.encode()) % 2 == 0 else TEXT + "\n"
    assert refusal(file(text.encode()), encoding) == f"F is UTF-8, not {encoding}. Set load.encoding to utf-8."


def test_what_decodes():
    data = "name,town\nJosé,Málaga\nZoë,Besançon\nGrün,Köln\n".encode("cp1252")
    assert source.decodes(pa.py_buffer(data), "cp1252")
    assert not source.decodes(pa.py_buffer(data), "utf-8")
    assert not source.decodes(pa.py_buffer("é".encode()[:1]), "utf-8")


def test_a_character_on_the_border_of_two_blocks_decodes(monkeypatch):
    monkeypatch.setattr(source, "_BLOCK", 3)
    assert source.decodes(pa.py_buffer("aé€😀b".encode()), "utf-8")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x.csv", "file:///etc/passwd", "s3://bucket/x.csv", "ssh://host/x.csv"]
)
def test_urls_are_not_followed(url):
    with pytest.raises(DataError, match=r"is a URL, and nothing is read from the network\. Download"):
        source.check_file(Path(url))


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_text_whose_memory_was_given_back_is_still_there(file, mark):
    text = b"a,b\n" + b"1,2\n" * 10_000
    found = source.open_source(file(mark + text))
    for end in (0, 1, 5_000, len(text)):
        found.forget(end)
        assert found.text.to_pybytes() == text
    packed = source.open_source(file(gz(text), "f.csv.gz"))
    packed.forget(len(text))
    assert packed.text.to_pybytes() == text
