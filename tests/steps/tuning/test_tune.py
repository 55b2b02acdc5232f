"""The stage tune without a search: it reads nothing, imports nothing for it, and writes empty results."""

import json
import subprocess
import sys

from lockstep.steps.tuning.trials import TRIAL_COLUMNS
from stages import tune as stage

from workspace import ROOT


def run(folder, tune):
    (folder / "params.yaml").write_text(json.dumps({"problems": {"p": {"tune": tune}}}))
    arguments = {"params": "params.yaml", "train": "no.parquet", "best-trial": "b.json", "trials": "t.csv"}
    return stage.main(["--problem", "p", *(f"--{name}={folder / value}" for name, value in arguments.items())])


def test_without_a_search_it_reads_nothing_and_writes_empty_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(tmp_path, {"trials": 0}) == 0
    assert (tmp_path / "b.json").read_text() == "{}\n"
    assert (tmp_path / "t.csv").read_text() == ",".join([*TRIAL_COLUMNS, "reason"]) + "\n"


def test_without_a_search_nothing_is_imported_for_it():
    code = "import sys, stages.tune; sys.exit(bool({'numpy', 'sklearn', 'optuna', 'pandas'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
