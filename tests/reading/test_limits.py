"""Files made to use up time or memory: refused with exit code 2, in seconds and little memory."""

import gzip
import json
import subprocess
import sys

import pytest
from small import widened
from workspace import ROOT

RUN = """
import sys, time
start = time.process_time()
from lockstep.kernel.log import peak_memory_mib
from stages.load import main
code = main(["--problem", "p", "--contract", "contract.yaml", "--table", "p.parquet", "--profile", "p.json"])
print(code, time.process_time() - start, peak_memory_mib())
"""


def columns(path):
    path.write_text(",".join(f"c{i}" for i in range(200_000)) + "\n" + ",".join("1" * 200_000) + "\n")


def long_field(path, quote=b"", part=b"x" * 1_000_000):
    with path.open("wb") as file:
        file.write(b"a,target\n1," + quote)
        for _ in range(300):
            file.write(part)
        file.write(quote + b"\n")


def long_quoted_field(path):
    long_field(path, b'"', b"x\n" * 500_000)


def long_header(path):
    path.write_bytes(b"a" * 300_000_000)


def lines_without_end(path):
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"a,target\n")
        for _ in range(300):
            file.write(b"1,2\n" * 250_000)


FILES = {
    "200,000 columns": (columns, "f.csv", r"a header of 1,488,889 characters"),
    "300 MB in a field": (long_field, "f.csv", "line 2: a record of more than 16,777,216 bytes begins here"),
    "300 MB in a quoted field": (
        long_quoted_field,
        "f.csv",
        "line 2: a record of more than 16,777,216 bytes begins here",
    ),
    "300 MB of header": (long_header, "f.csv", "line 1: a record of more than 16,777,216 bytes begins here"),
    "300 million bytes of short rows": (lines_without_end, "f.csv.gz", "unpacks to more than"),
}
"""Packed zeros, as .gz, .zst and .zip, are in test_source.py; settings in test_settings.py."""


@pytest.mark.parametrize("name", widened(FILES, list(FILES)[:2]))
def test_a_hostile_file_is_refused_in_seconds_and_little_memory(tmp_path, name):
    write, file, message = FILES[name]
    write(tmp_path / file)
    params = {"problems": {"p": {"load": {"path": file, "task": "classification"}}}}
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    (tmp_path / "contract.yaml").write_text(json.dumps({"fields": []}))
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    (tmp_path / file).unlink()
    code, seconds, megabytes = map(float, done.stdout.split())
    assert message in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert "Traceback" not in done.stderr
    assert code == 2
    assert seconds < 10  # of the processor: a busy machine does not matter
    assert megabytes < 1000
