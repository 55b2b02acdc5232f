"""The notebook in examples/: it runs, shows what it says, and holds no outputs."""

import json
import os
import warnings

import pytest
from workspace import ROOT

NOTEBOOK = ROOT / "examples/notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


@pytest.fixture
def client():
    """The class that runs a notebook; its libraries warn of their own."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from nbclient import NotebookClient
    except ImportError:
        message = "nbclient is not installed: make notebooks"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    return NotebookClient


def test_the_notebook_is_kept_without_outputs():
    for cell in CELLS:
        assert (cell["cell_type"] == "markdown") or (cell["outputs"], cell["execution_count"]) == ([], None)


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_shows_tables_and_the_report(client, built_repository, tmp_path, monkeypatch):
    import nbformat

    copy = built_repository.copy_to(tmp_path / "repository")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(copy.folder / "examples/notebook.ipynb", as_version=4)
    client(notebook, timeout=120, resources={"metadata": {"path": str(copy.folder / "examples")}}).execute()
    shown = {
        cell["id"]: "".join(output.get("data", {}).get("text/html", "") for output in cell["outputs"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    }
    assert [name for name, page in shown.items() if not page] == ["root"]
    assert "random_forest_classifier_v1.joblib" in shown["train-forest"]
    assert "train.model random_forest \N{RIGHTWARDS ARROW} logistic_regression" in shown["compare"]
    assert "The same 30 test rows on both sides." in shown["compare"]
    assert "iris: 2 models by " in shown["leaderboard"]
    assert shown["report"].startswith("<iframe sandbox srcdoc=")
    assert copy.status() == []  # what it writes is nothing that git tracks
