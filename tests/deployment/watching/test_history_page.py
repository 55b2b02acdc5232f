"""The record of batches, drawn over time."""

from lockstep.commands.pipeline.index import batches_page, main
from lockstep.deployment.watching.record import RECORD_COLUMNS, read_batches
from lockstep.kernel.errors import IntegrityError

import pytest
from recorded import dump

HEADER = ",".join([*RECORD_COLUMNS, "accuracy"])
LINES = (
    '2024-02-29T09:30,b<c>.csv,100,2,shifted,0.25,"shifted, worse",22,0.7',
    "2024-01-31,a.csv,1000,0,,0.05,no detectable shift,11,",
)


def write(path, *lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([HEADER, *lines, ""]))


def test_index_draws_each_record_and_leads_to_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train = {"model": "random_forest", "kind": "classifier", "version": 1}
    sections = {"load": {"path": "d.csv", "task": "classification"}, "train": train, "report": {}}
    (tmp_path / "params.yaml").write_bytes(dump({"problems": {"p": sections, "q": sections}}))
    write(tmp_path / "metrics/p_watch.csv", *LINES)
    assert main([]) == 0
    assert str(batches_page("p")) in capsys.readouterr().out
    assert not batches_page("q").exists()
    index = (tmp_path / "reports/index.html").read_text()
    assert '<a href="p.watch.html">watched</a>: 2 batches, the last of 2024-02-29T09:30: shifted, worse' in index
    page = batches_page("p").read_text()
    assert page.index("2024-02-29T09:30</th>") < page.index("2024-01-31</th>")  # the latest first
    assert "b&lt;c&gt;.csv" in page
    assert "accuracy of 1 batch over time, from 0.7 to 0.7" in page
    assert "Share of odd rows of 2 batches over time, from 0.05 to 0.25" in page
    assert "2, predictions too" in page
    assert "http" not in page.replace("http://www.w3.org", "")  # it needs no network


@pytest.mark.parametrize(
    ("before", "after"), [("2024-01-31", "January"), ("1000,0", "many,0"), ("0.05", "5 %"), ("11,", "11,high")]
)
def test_a_record_with_a_cell_that_is_no_number_or_date_is_refused(tmp_path, before, after):
    path = tmp_path / "p_watch.csv"
    write(path, LINES[1].replace(before, after))
    with pytest.raises(IntegrityError, match="is not the record that"):
        read_batches(path)
