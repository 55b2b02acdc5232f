"""How far a run of several stages has come."""

import time

from lockstep.kernel.run_progress import RUN, RunProgress, begin_run, note_start, plan_run


def test_each_stage_that_begins_is_told_where_it_stands(tmp_path, monkeypatch):
    run = tmp_path / "run.jsonl"
    begin_run(run)
    monkeypatch.setenv(RUN, str(run))
    assert note_start("check@a") is None  # there is no plan yet
    plan_run(run, {"check@a": 1.0, "load@a": 1.0, "train@a": 7.0, "load@b": 2.0})
    assert str(note_start("load@a")).startswith("stage 2 of at most 4, 0 s so far, about 10 s left")
    third = note_start("load@b")
    assert str(third).startswith("stage 3 of at most 4, 0 s so far, about 9 s left")
    assert third.started == ["check@a", "load@a", "load@b"]
    assert note_start("split@a") is None  # not planned: nothing can be said


def test_what_dvc_takes_between_two_stages_counts():
    progress = RunProgress(time.time() - 12, {"a@x": 1.0, "b@x": 1.0, "c@x": 5.0}, ["a@x", "b@x", "c@x"])
    assert str(progress) == "stage 3 of at most 3, 12 s so far, about 10 s left if each takes as long as it took last"


def test_no_time_is_told_where_a_stage_has_not_run_here():
    assert str(RunProgress(time.time(), {"a@x": 1.0, "b@x": None}, ["a@x", "b@x"])).endswith(
        "2 of at most 2, 0 s so far"
    )


def test_without_a_run_nothing_is_said(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN, raising=False)
    assert note_start("load@a") is None
    for text in (None, "", "{}\n", '{"begun": 1}\n', "no JSON\n"):
        path = tmp_path / "run.jsonl"
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv(RUN, str(path))
        assert note_start("load@a") is None
