"""The log, and what run_stage makes of errors: messages and exit codes."""

import argparse
import contextlib
import io
import logging
import re
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from lockstep.kernel import log as module
from lockstep.kernel import stage
from lockstep.kernel.errors import DataError, IntegrityError, LockstepError, MachineError, SettingsError
from lockstep.kernel.log import Progress, counted, counting, duration, heartbeat, logger, logging_to
from lockstep.kernel.stage import run_stage, stage_parser

import pytest
from sklearn.utils.parallel import delayed
from workspace import ROOT

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "


@pytest.fixture(autouse=True)
def nothing_goes_on(monkeypatch):
    """Forget the steps that other tests left open: a file that nobody read to its end."""
    monkeypatch.setattr(module, "_here", module._Here())


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a body as the stage ``load`` of a problem; gives exit code, stderr lines, lines of the log file."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("problems: {iris: {load: {}}}\n")

    def run(body, problem="iris"):
        code = run_stage("load", argparse.Namespace(problem=problem, params=Path("params.yaml")), body)
        out, err = capsys.readouterr()
        assert out == ""
        log = Path("logs/load@iris.log")
        return code, err.splitlines(), log.read_text().splitlines() if log.is_file() else []

    return run


def raising(error):
    def body(problem, args, outputs):
        raise error

    return body


def test_a_stage_that_ends_well(run):
    def body(problem, args, outputs):
        logger.info("%d rows", 3)
        warnings.warn("odd\n  numbers", RuntimeWarning, stacklevel=1)

    code, err, log = run(body)
    assert code == 0
    assert err[:2] == ["INFO load@iris: 3 rows", "WARNING load@iris: RuntimeWarning: odd numbers"]
    assert re.fullmatch(r"INFO load@iris: done in \d+\.\d s, peak memory [1-9]\d* MiB", err[2])
    assert [re.sub(rf"^{TIME}", "", line) for line in log] == err
    assert all(re.match(TIME, line) for line in log)


def test_the_log_file_grows_with_each_run(run):
    run(lambda problem, args, outputs: None)
    assert len(run(lambda problem, args, outputs: None)[2]) == 2


def test_the_body_gets_its_problem(run):
    assert run(lambda problem, args, outputs: logger.info("%s %s", problem.name, args.params))[1][0].endswith(
        ": iris params.yaml"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LockstepError("what, where. Do this."), 1),
        (SettingsError("what, where. Do this."), 2),
        (DataError("what, where. Do this."), 2),
        (IntegrityError("what, where. Do this."), 3),
        (MachineError("what, where. Do this."), 4),
    ],
)
def test_errors_become_one_line_and_an_exit_code(run, error, code):
    found, err, log = run(raising(error))
    assert (found, err) == (code, ["ERROR load@iris: what, where. Do this."])
    assert len(log) == 1
    assert log[0].endswith(err[0])


@pytest.mark.parametrize(("root", "is_said"), [(".", True), ("..", False), (None, False)])
def test_an_experiment_that_fails_in_the_workspace_says_the_way_back(run, monkeypatch, root, is_said):
    """DVC gives stages the repository's folder, which is elsewhere with --temp, and an experiment's name."""
    monkeypatch.setenv("DVC_EXP_NAME", "ritzy-damn")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    if root is not None:
        monkeypatch.setenv("DVC_ROOT", str(Path(root).resolve()))
    _, err, _ = run(raising(SettingsError("what, where.")))
    back = " params.yaml keeps the experiment's settings: 'git checkout params.yaml && dvc checkout' takes them back"
    assert err[0].startswith(f"ERROR load@iris: what, where.{back if is_said else ''}")
    assert ("takes them back" in err[0]) == is_said


def test_an_operating_system_error_is_the_machines_fault(run):
    code, err, _ = run(raising(OSError(28, "No space left on device", "out.parquet")))
    remedy = "No output was written. Correct that (space, permission), then run it again."
    assert (code, err) == (4, [f"ERROR load@iris: [Errno 28] No space left on device: 'out.parquet'. {remedy}"])


def test_a_defect_keeps_its_traceback(run):
    with pytest.raises(ZeroDivisionError):
        run(lambda problem, args, outputs: 1 / 0)


def test_an_unknown_problem_is_logged(run):
    code, err, _ = run(lambda problem, args, outputs: None, problem="irsi")
    assert (code, err[0]) == (
        2,
        "ERROR load@irsi: params.yaml has no problem 'irsi'. It has: iris. Did you mean 'iris'?",
    )


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a\nb"])
def test_a_problem_name_is_checked_before_any_path_is_made_of_it(run, tmp_path, name):
    code, err, _ = run(lambda problem, args, outputs: None, problem=name)
    assert code == 2
    assert err[0].startswith("ERROR load: --problem: ")
    assert "is not a problem name. Allowed: letters, digits, '_' and '-'" in err[0]
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def test_a_log_that_cannot_be_written(run):
    Path("logs").write_text("a file")
    code, err, _ = run(lambda problem, args, outputs: None)
    assert code == 4
    assert err == ["ERROR load: [Errno 17] File exists: 'logs'. Make 'logs/' and '.dvc/tmp/' writable."]


def test_the_arguments_of_every_stage(capsys):
    args = stage_parser("load", "What it does.").parse_args(["--problem", "iris"])
    assert (args.problem, args.params) == ("iris", Path("params.yaml"))
    with pytest.raises(SystemExit) as caught:
        stage_parser("load", None).parse_args([])
    assert caught.value.code == 2
    assert "the following arguments are required: --problem" in capsys.readouterr().err


def test_logging_ends_with_its_block(tmp_path, capsys):
    before = (logger.level, list(logger.handlers), warnings.showwarning)
    with pytest.raises(KeyError), logging_to(tmp_path / "a/b.log", "x", stderr=False):
        logger.info("inside")
        raise KeyError
    logger.info("outside")
    assert (logger.level, logger.handlers, warnings.showwarning) == before
    assert re.fullmatch(rf"{TIME}INFO x: inside\n", (tmp_path / "a/b.log").read_text())
    assert capsys.readouterr().err == ""


def test_a_warning_is_logged_once(tmp_path):
    with logging_to(tmp_path / "x.log", "x", stderr=False):
        for _ in range(3):
            warnings.warn("odd", RuntimeWarning, stacklevel=1)
    assert (tmp_path / "x.log").read_text().count("RuntimeWarning: odd") == 1


def test_what_scikit_learn_says_of_a_race_of_its_threads_is_not_logged(tmp_path):
    with logging_to(tmp_path / "x.log", "x", stderr=False):
        delayed(dict)()[0]()  # says what it does, where no filters are found
    assert (tmp_path / "x.log").read_text() == ""


def test_a_heartbeat_says_that_it_goes_on_and_how_long_it_took(caplog):
    caplog.set_level(logging.INFO)
    with heartbeat("fit", every=0.05):
        time.sleep(0.3)
    assert len(caplog.messages) >= 2
    assert all(re.fullmatch(r"fit: \d+ s so far", message) for message in caplog.messages[:-1])
    assert re.fullmatch(r"fit: \d+\.\d\d s", caplog.messages[-1])


def test_a_heartbeat_ends_with_an_error(caplog):
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyError), heartbeat("fit", every=0.01):
        raise KeyError
    count = len(caplog.messages)
    time.sleep(0.05)
    assert len(caplog.messages) == count


def test_a_heartbeat_says_how_much_is_done_and_how_long_the_rest_takes(caplog):
    caplog.set_level(logging.INFO)
    with heartbeat("search", 20, "trials", every=0.1) as progress:
        progress.advance(10, found=True)
        time.sleep(0.15)
        progress.advance()
        time.sleep(0.1)
    assert re.fullmatch(r"search: 10 of 20 trials, 0 s so far", caplog.messages[0])
    assert re.fullmatch(r"search: 11 of 20 trials, 0 s so far, about 2 s left", caplog.messages[1])
    assert re.fullmatch(r"search: 0\.\d\d s", caplog.messages[-1])


def test_what_was_there_already_says_nothing_of_the_time_that_is_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    progress = Progress(100, "folds")
    progress.advance(50, found=True)
    clock[0] = 60
    assert str(progress) == "50 of 100 folds, 60 s so far"
    progress.advance(2)
    assert str(progress) == "52 of 100 folds, 60 s so far, about 24 min left"
    progress.advance(48)
    assert str(progress) == "100 of 100 folds, 60 s so far"


def said(progress):
    return str(progress).partition(",")[0]


def test_what_a_step_calls_counts_it():
    with heartbeat("checks") as progress:
        assert re.fullmatch(r"\d+ s so far", str(progress))
        shown = [(item, said(progress)) for item in counted("ab", "columns")]
    assert shown == [("a", "0 of 2 columns"), ("b", "1 of 2 columns")]
    assert said(progress) == "2 of 2 columns"


def test_parts_of_what_comes_next_are_shares_of_it():
    with heartbeat("checks") as progress:
        for check in counted(range(4), "checks"):
            for _ in counted(range(2), "columns"):
                for _ in counted(range(5), "rows"):
                    last = progress.so_far
                assert said(progress) == f"{check} of 4 checks"
        assert progress.so_far == 4
    assert last == pytest.approx(3 + 1 / 2 + 4 / 5 / 2)


def test_what_is_done_of_what_comes_next_does_not_become_less():
    """A fit is counted; the predictions behind it are not, and a second count begins at nothing."""
    with heartbeat("vote") as progress, counting(3, "fits") as fits:
        list(counted("ab", "trees"))
        assert (progress.so_far, said(progress)) == (1, "0 of 3 fits")
        with counting(2, "columns"):
            assert progress.so_far == 1
        fits.advance()
        assert (progress.so_far, said(progress)) == (1, "1 of 3 fits")


def test_what_is_counted_next_is_all_of_the_step_again(monkeypatch):
    """Not a part of what was counted before, of which nothing is left."""
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    with heartbeat("intervals") as progress:
        with counting(999, "resamples") as own:
            clock[0] = 60
            own.advance(999)
        with counting(10, "subsets") as subsets:
            assert (progress.so_far, said(progress)) == (0, "0 of 10 subsets")
            clock[0] = 62
            subsets.advance()
            assert str(progress) == "1 of 10 subsets, 62 s so far, about 18 s left"


def test_a_count_that_fails_is_not_asked_again():
    """What it asked may be gone, and what failed is not what comes next."""
    with heartbeat("copy") as progress:
        with pytest.raises(KeyError), counting(9, "MB", ask=lambda: {}["gone"]):
            raise KeyError("the reason")
        assert said(progress) == "0 of 9 MB"
        with counting(2, "files") as files:
            files.advance()
            assert (progress.so_far, said(progress)) == (1, "1 of 2 files")


def test_what_is_one_piece_is_counted_by_its_parts():
    with heartbeat("checks") as progress:
        for _ in counted(["one"], "checks"):
            for _ in counted("ab", "columns"):
                pass
    assert said(progress) == "2 of 2 columns"


def test_a_step_that_counts_itself_is_counted_by_nobody_else():
    with heartbeat("folds", 2, "folds") as progress:
        for _ in counted("abc", "columns"):
            assert progress.so_far == 0
    assert said(progress) == "0 of 2 folds"


def test_the_innermost_step_is_counted_and_only_that_of_the_thread():
    with heartbeat("outer") as outer:
        with heartbeat("inner") as inner:
            assert list(counted("ab", "columns")) == ["a", "b"]
        thread = threading.Thread(target=lambda: list(counted("abc", "rows")))
        thread.start()
        thread.join()
    assert re.fullmatch(r"\d+ s so far", str(outer))
    assert said(inner) == "2 of 2 columns"
    assert list(counted("ab", "columns")) == ["a", "b"]
    assert module._here.steps == []


def test_a_step_that_ends_in_another_thread_is_over_in_its_own():
    def blocks():
        with heartbeat("reading", 2, "MB"):
            yield

    reading = blocks()
    next(reading)
    thread = threading.Thread(target=reading.close)
    thread.start()
    thread.join()
    assert module._here.steps == []


def test_a_part_that_fails_ends():
    with heartbeat("checks") as progress:
        for check in counted(range(3), "checks"):
            with contextlib.suppress(KeyError), counting(2, "columns") as part:
                part.advance()
                raise KeyError
            assert progress.so_far == check
    with pytest.raises(KeyError), heartbeat("checks"), counting(2, "columns"), counting(3, "rows"):
        raise KeyError
    assert module._here.steps == []


def test_a_function_says_how_far_a_bound_has_come(monkeypatch):
    clock, done = [0.0], [3]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    with heartbeat("fit") as progress, counting(10, "trees", at_most=True, ask=lambda: done[0]):
        clock[0] = 6
        assert str(progress) == "3 of at most 10 trees, 6 s so far, at most about 14 s left"
        done[0] = 8
    assert said(progress) == "8 of at most 10 trees"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (5900, "98 min"), (6000, "1 h 40 min")]
)
def test_times_in_words(seconds, said):
    assert duration(seconds) == said


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_on_a_terminal_there_is_a_bar_and_no_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(module, "REDRAW_SECONDS", 0.05)
    monkeypatch.setenv("COLUMNS", "80")
    long = "cross-validation of a table whose name is long"
    with logging_to(tmp_path / "x.log", "x"):
        with heartbeat(long, 4, "folds", every=0.1) as progress:
            progress.advance()
            time.sleep(0.3)
            logger.info("a line")
        with heartbeat("fit", every=0.1):
            time.sleep(0.3)
        with heartbeat("quick", 4, "folds"):
            pass
        with heartbeat("counted"):
            for _ in counted("ab", "parts"):
                time.sleep(0.15)
    shown = sys.stderr.getvalue()
    drawn = {text.rstrip() for text in re.split("[\r\n]", shown)}
    bars = [text for text in drawn if "|" in text and "parts" not in text]
    assert bars
    assert all(
        re.fullmatch(r"cross-.*\.\.\.: 1 of 4 folds, 0 s so far, about \d s left \|..5       \|", text) for text in bars
    )
    assert all(len(text) < 80 for text in drawn)
    assert "fit: 0 s so far" in drawn
    lines = {text for text in drawn if text.startswith("INFO")}
    assert "INFO x: a line" in lines
    assert not any("so far" in text for text in lines)
    assert len(lines) == 5
    assert any(
        re.fullmatch(r"counted: 1 of 2 parts, 0 s so far, about 0 s left \|#####     \|", text) for text in drawn
    )
    assert not any("quick" in text for text in drawn - lines)
    log = (tmp_path / "x.log").read_text()
    assert "x: fit: 0 s so far" in log
    assert "1 of 4 folds, 0 s so far" in log
    assert module._bars == []


def test_an_error_stands_below_no_bar(tmp_path, monkeypatch):
    """Also where what the bar stands for is held by the error itself: a file that is read block by block."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(module, "REDRAW_SECONDS", 0.02)

    def blocks():
        with heartbeat("reading", 2, "MB"):
            yield

    with logging_to(tmp_path / "x.log", "x"):
        reading = blocks()
        next(reading)
        time.sleep(0.1)
        logger.error("wrong")
        time.sleep(0.1)
        reading.close()
    assert "0 of 2 MB" in sys.stderr.getvalue()
    assert re.search(r"\r +\rERROR x: wrong\n$", sys.stderr.getvalue())


def test_where_nobody_is_watching_there_is_no_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(module, "_new_bar", None)
    with logging_to(tmp_path / "x.log", "x"), heartbeat("fit", 4, "folds", every=0.05) as progress:
        progress.advance(2)
        time.sleep(0.12)
    lines = capsys.readouterr().err.splitlines()
    assert "INFO x: fit: 2 of 4 folds, 0 s so far, about 0 s left" in lines
    assert [line.split("INFO ")[1] for line in (tmp_path / "x.log").read_text().splitlines()] == [
        line.removeprefix("INFO ") for line in lines
    ]


MEASURE = """
import re
from pathlib import Path
from lockstep.kernel.log import peak_memory_mib
print(peak_memory_mib(), int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
def test_peak_memory_is_the_processes_own():
    block = bytearray(200 << 20)
    block[::4096] = b"1" * len(block[::4096])
    root = ROOT
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=root, capture_output=True, text=True, check=True)
    found, peak = map(float, done.stdout.split())
    assert found == pytest.approx(peak, rel=0.05)


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 3 GiB"), RuntimeError("can't start new thread")])
def test_a_lack_of_memory_is_said_in_a_sentence(run, error):
    code, err, log = run(raising(error))
    assert code == 4
    assert err[-1].startswith(f"ERROR load@iris: No output was written: not enough memory ({error}): close other")
    assert len(err) == len(log) == 1


def test_a_lack_of_memory_before_a_stage_begins_is_said_in_a_sentence(run, monkeypatch):
    def short(*_):
        raise MemoryError

    monkeypatch.setattr(stage, "note_start", short)
    code, err, _ = run(raising(KeyError()))
    assert code == 4
    assert err[-1].startswith("ERROR load: not enough memory (MemoryError): ")
