"""What becomes of DVC's process before it runs."""

import os

from lockstep.repository import dvc_process

import pytest


@pytest.mark.parametrize(
    ("there", "newer", "expected"),
    [
        (("params.yaml", "dvc.lock", "data/checked"), "dvc.lock", False),
        (("params.yaml", "dvc.lock", "data/checked"), "params.yaml", True),
        (("params.yaml", "dvc.lock"), "dvc.lock", True),
        (("params.yaml",), "params.yaml", True),
        ((), "params.yaml", False),
    ],
)
def test_whether_it_looks_as_if_settings_were_changed(tmp_path, monkeypatch, there, newer, expected):
    monkeypatch.chdir(tmp_path)
    for name in there:
        if name.startswith("data"):
            (tmp_path / name).mkdir(parents=True)
            continue
        (tmp_path / name).touch()
        os.utime(tmp_path / name, ns=(0, 10**9 if name == newer else 0))
    assert dvc_process._settings_changed() is expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--cd", ".", "repro", "train@iris"], "stages.check"),
        (["--cd", ".", "push"], ""),
        (["--cd", "/elsewhere", "repro"], ""),
    ],
)
def test_the_first_stage_is_prepared_for_where_it_will_run(tmp_path, monkeypatch, arguments, expected):
    asked = []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()

    class Forks:
        def __init__(self, first):
            asked.append(first)

        def run_for(self, module):
            pass

    monkeypatch.setattr(dvc_process, "StageForks", Forks)
    for name in ("write_settings_as_utf8", "quicken_yaml"):
        monkeypatch.setattr(dvc_process, name, lambda *_: None)
    dvc_process.prepare(arguments)
    assert asked == [expected]
