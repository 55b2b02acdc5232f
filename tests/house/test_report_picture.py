"""The picture of a report in README.md shows what the report says now; 'make pages' makes it anew."""

import json

from publishing.report_picture import PICTURE, REPORT, chromium, make, shown_by, shown_in

import pytest
from workspace import ROOT

PAGE = """<title>Not this</title><style>h1 { margin: 0 }</style><p>Nor this</p><h1>Prices</h1><p>Off by <b>13,988</b>
on average.</p><table><tr><td>R²</td><td>0.857</td></tr></table><p>Nor that</p>"""


def test_the_words_of_the_first_screen():
    assert shown_by(PAGE) == "Prices Off by 13,988 on average. R² 0.857"


def test_the_picture_has_the_metrics_that_git_has():
    metrics = json.loads((ROOT / "metrics/housing.json").read_text())
    assert f"off by {metrics['mae']:,.0f} on average" in shown_in(PICTURE), "type: make pages"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_picture_shows_what_the_report_says(committed_repository):
    report = (committed_repository.folder / REPORT).read_text(encoding="utf-8")
    assert shown_in(PICTURE) == shown_by(report), "type: make pages"


def test_a_picture_carries_its_words(tmp_path):
    if chromium() is None:
        pytest.skip("Chromium is missing: tests/steps/reporting/test_report_browser.py says what installs it")
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    make(tmp_path / "page.html", tmp_path / "images/page.png")
    assert (tmp_path / "images/page.png").read_bytes().startswith(b"\x89PNG")
    assert shown_in(tmp_path / "images/page.png") == shown_by(PAGE)


def test_without_a_report_it_says_what_builds_it(tmp_path, monkeypatch):
    monkeypatch.setattr("publishing.report_picture.chromium", lambda: "chromium")
    with pytest.raises(SystemExit, match=r"page.html is missing. 'make repro' builds it."):
        make(tmp_path / "page.html", tmp_path / "page.png")
