"""Tables that take much of the memory lie in files, from the limits of control groups on."""

import gc
import os
from pathlib import Path

from lockstep.tables import memory
from lockstep.tables.table import Table, read_table, write_table

import numpy as np
import pandas as pd
import pytest

MAPS = Path("/proc/self/maps")
UNLIMITED = 9223372036854771712
"""What the first version of control groups says where there is no limit."""


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A function that makes {file: content} of control groups, and says in which this process is."""
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")

    def make(files, own):
        for name, content in files.items():
            (tmp_path / "cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "cgroup" / name).write_text(content)
        (tmp_path / "own").write_text(own)

    return make


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, "0::/\n", None),
        ({"a/b/memory.max": "max\n", "a/memory.max": "4096\n"}, "0::/a/b\n", 4096),
        ({"a/b/memory.max": "512\n", "a/memory.max": "4096\n"}, "0::/a/b\n", 512),
        ({"memory.max": "4096\n"}, "0::/of/the/host\n", 4096),
        ({"memory/a/memory.limit_in_bytes": "512\n"}, "5:devices:/x\n4:cpu,memory:/a\n0::/\n", 512),
        ({"memory/a/memory.limit_in_bytes": f"{UNLIMITED}\n"}, "4:memory:/a\n", None),
        ({"a/memory.max": "512\n"}, "0::/b\n", None),
    ],
)
def test_the_least_limit_counts(groups, files, own, expected):
    groups(files, own)
    assert memory.memory_limit() == (expected or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(500, 3)), columns=["a", "b", "target"]).assign(
        whole=np.arange(500), text=np.array(["x", "y"])[np.arange(500) % 2]
    )
    frame.index.name = "__row__"
    found = Table(frame, "target", "regression")
    write_table(found, tmp_path / "t.parquet")
    return found


def mapped():
    """Bytes of files without a name that are mapped into this process."""
    lines = [line.split() for line in MAPS.read_text().splitlines() if "(deleted)" in line]
    return sum(int(end, 16) - int(begin, 16) for begin, end in (words[0].split("-") for words in lines))


@pytest.mark.skipif(not MAPS.exists(), reason="Linux alone tells what is mapped")
@pytest.mark.parametrize(("limit", "expected"), [(500 * 3 * 8 * 4 - 1, 500 * 3 * 8), (500 * 3 * 8 * 4, 0)])
def test_a_large_table_lies_in_a_file_that_is_gone_with_it(tmp_path, monkeypatch, table, limit, expected):
    monkeypatch.setattr(memory, "memory_limit", lambda: limit)
    before = mapped()
    read = read_table(tmp_path / "t.parquet", in_pieces=True)
    assert expected <= mapped() - before < expected + 4096
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    pd.testing.assert_frame_equal(read.frame, table.frame)
    read.frame.iloc[3:5].to_numpy()[:] = 0  # a copy, as of any frame
    pd.testing.assert_frame_equal(read.frame, table.frame)
    del read
    gc.collect()
    assert mapped() == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError()])
def test_where_no_file_can_be_made_it_lies_in_memory(tmp_path, monkeypatch, table, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(memory, "memory_limit", lambda: 1)
    monkeypatch.setattr(memory.os, "posix_fallocate", refuse)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet", in_pieces=True).frame, table.frame)


def test_no_rows(tmp_path, monkeypatch, table):
    monkeypatch.setattr(memory, "memory_limit", lambda: 0)
    write_table(table.rows(np.arange(0)), tmp_path / "none.parquet")
    assert len(read_table(tmp_path / "none.parquet", in_pieces=True)) == 0
