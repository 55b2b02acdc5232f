"""What the log of a stage tells of its last run."""

from datetime import datetime

from lockstep.provenance import stage_logs
from lockstep.provenance.stage_logs import last_run, last_seconds

import pytest

FIRST = """\
2026-11-01 10:00:00,000 INFO train@a: fit on 120 rows: 9.00 s
2026-11-01 10:00:01,000 INFO train@a: done in 9.5 s, peak memory 100 MiB
"""
SECOND = """\
2026-11-02 10:00:00,100 INFO train@a: ridge, seed 42
2026-11-02 10:00:01,100 WARNING train@a: RuntimeWarning: of two
  lines
2026-11-02 10:00:02,000 INFO train@a: fit on 7 rows: 1.50 s
2026-11-02 10:00:02,050 INFO train@a: loss: train 0.5
2026-11-02 10:00:02,100 INFO train@a: done in 2.0 s, peak memory 222 MiB
"""
KILLED = "2026-11-01 11:00:00,000 INFO train@a: fit on 50 rows: 3.00 s\n"
FAILED = """\
2026-11-03 10:00:00,000 INFO train@a: begins
2026-11-03 10:00:05,000 ERROR train@a: no space left
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(stage_logs, "LOGS", tmp_path)
    return tmp_path / "train@a.log"


@pytest.mark.parametrize("before", ["", FIRST, FIRST + KILLED])
def test_the_last_run_and_no_line_of_one_before(log, before):
    log.write_text(before + SECOND)
    run = last_run("train@a")
    assert "\n".join(run.lines) + "\n" == SECOND
    assert (run.seconds, run.peak_mib, run.error) == (2.0, 222.0, "")
    assert run.steps == [("fit on 7 rows", 1.5)]
    assert run.begun == datetime(2026, 11, 2, 10, 0, 0)  # noqa: DTZ001 - the log's local time
    assert last_seconds("train@a") == 2.0


def test_a_run_that_did_not_end_well(log):
    log.write_text(FIRST + FAILED)
    run = last_run("train@a")
    assert (run.seconds, run.peak_mib, run.error) == (None, None, "no space left")
    assert run.lines == FAILED.splitlines()
    assert last_seconds("train@a") == 9.5


def test_no_run(log):
    assert last_run("train@a") is None
    assert last_seconds("train@a") is None
    log.write_text("no record\n")
    assert last_run("train@a") is None


def test_of_a_long_log_the_end_is_read(log, monkeypatch):
    monkeypatch.setattr(stage_logs, "_TAIL", len(SECOND) + 30)
    log.write_text(FIRST * 50 + SECOND)
    assert "\n".join(last_run("train@a").lines) + "\n" == SECOND
