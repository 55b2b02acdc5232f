"""The documentation site has every page, each once, and links that lead to the same files as in the repository."""

import tomllib

from publishing.site import site_files

from workspace import DOCUMENTS, ROOT


def pages_of(entries):
    """The pages of the site's navigation, in order."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for group in entry.values():
                yield from pages_of(group)


def test_the_navigation_has_every_page_once():
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    pages = [name for name in site_files(ROOT) if name.endswith(".md")]
    assert sorted(pages_of(project["nav"])) == sorted(pages)


def test_every_document_is_a_page():
    files = site_files(ROOT)
    pages = [name for name in files if name.endswith(".md")]
    assert len(pages) == len(DOCUMENTS)
    assert set(files) - set(pages) == {"images/report.png", "images/housing.svg"}


def test_links_between_pages_and_to_what_is_no_page():
    home = site_files(ROOT)["index.md"].decode()
    assert "![How good the model of house prices is, in words and as a table](images/report.png)" in home
    assert "[docs/models.md](models.md#missing-values)" in home
    assert "Licence: Apache 2.0." in home


def test_a_link_that_leads_nowhere_stays_for_the_build_to_refuse(tmp_path):
    for name in ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "benchmarks/quality.md",
                 "benchmarks/model_choice.md", "data/README.md", "estimators/README.md", "scorers/README.md",
                 "reports/housing.svg", "docs/page.md", "stages/load.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "README.md").write_text("[a](docs/page.md) [b](docs/nowhere.md) [c](stages/load.py) [d](stages)\n")
    assert site_files(tmp_path)["index.md"] == b"[a](page.md) [b](docs/nowhere.md) c d\n"
