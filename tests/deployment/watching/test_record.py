"""The record of batches: a line each, whole or not at all."""

from lockstep.comparing.tables.changes import compare_column, with_verdicts
from lockstep.deployment.watching.batch import OddRows, Watched
from lockstep.deployment.watching.record import RECORD_COLUMNS, BatchFile, record_batch
from lockstep.deployment.watching.sample_verdicts import SampleMetric
from lockstep.kernel.errors import IntegrityError
from lockstep.steps.splitting.two_samples import shared_codes

import pandas as pd
import pytest


def found(**metrics):
    column = pd.Series([1.0, 2.0], name="odd rows")
    (compared,) = with_verdicts([compare_column(column, column, shared_codes(column, column))])
    measured = tuple(
        SampleMetric(
            metric=name, lower_is_better=False, before=0.5, after=value, difference=0.0, low=None, high=None, test="t",
            p=1.0, p_holm=1.0, verdict="no detectable difference", before_interval=None, after_interval=None,
        )
        for name, value in metrics.items()
    )  # fmt: skip
    return Watched(
        verdict="no detectable shift", found=(), rows=20, rows_with_truth=None, columns=(), predictions=(),
        odd=OddRows(test=0.0, batch=0.25, compared=compared), metrics=measured or None, level=0.01, notes=(),
    )  # fmt: skip


@pytest.fixture
def record(tmp_path):
    return tmp_path / "metrics/p_watch.csv"


FIRST = BatchFile("2024-01-31", "a.csv", "11")


def test_a_line_a_batch_with_the_metrics_behind(record):
    assert record_batch(record, FIRST, found()) == "added"
    assert record_batch(record, FIRST._replace(date="2024-02-29"), found(accuracy=0.75)) == "added"
    assert record.read_text().splitlines() == [
        ",".join([*RECORD_COLUMNS, "accuracy"]),
        "2024-01-31,a.csv,20,0,,0.25,no detectable shift,11,",
        "2024-02-29,a.csv,20,0,,0.25,no detectable shift,11,0.75",
    ]


def test_a_batch_of_one_date_has_one_line(record):
    record_batch(record, FIRST, found())
    before = record.read_bytes()
    assert record_batch(record, FIRST, found()) == "there already"
    assert record.read_bytes() == before
    record_batch(record, FIRST._replace(sha256="22"), found())
    assert record_batch(record, FIRST, found(accuracy=0.5)) == "replaced"
    assert pd.read_csv(record)["accuracy"].tolist()[:1] == [0.5]
    assert len(record.read_text().splitlines()) == 3


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", ",".join(RECORD_COLUMNS) + "\n1,2\n", "\xff"])
def test_another_file_is_left_as_it_is(record, content):
    record.parent.mkdir()
    record.write_bytes(content.encode("latin-1"))
    with pytest.raises(IntegrityError, match="is not the record that 'python -m lockstep watch' writes"):
        record_batch(record, FIRST, found())
    assert record.read_bytes() == content.encode("latin-1")
