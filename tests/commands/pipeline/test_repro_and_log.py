"""``dvc repro`` with how far it has come, and what the logs tell of it."""

import re
import sys

import pytest


def lockstep(copy, *arguments, check=True):
    return copy.run(sys.executable, "-m", "lockstep", *arguments, check=check)


@pytest.mark.exhaustive
def test_a_run_says_where_it_stands_and_the_log_tells_of_it(built_repository, tmp_path):
    copy = built_repository.copy_to(tmp_path / "repository")
    copy.set("iris", "report", title="Irises")
    done = lockstep(copy, "repro", "report@iris")
    # The plan may not have been there yet when the first one began.
    assert not re.search(r"check@iris: stage (?!1 of at most 2, \d+ s so far$)", done.stderr, re.MULTILINE)
    assert "INFO report@iris: stage 2 of at most 2" in done.stderr
    assert re.search(r"^2 stages ran in \d+ s: check@iris, report@iris$", done.stderr, re.MULTILINE)
    assert "Running stage 'report@iris':" in done.stdout
    table = lockstep(copy, "log", "iris").stdout
    assert re.search(
        r"^ *report +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +[\d.]+ +[\d,]+ +pictures and page", table, re.MULTILINE
    )
    assert "housing" not in table
    lines = lockstep(copy, "log", "report@iris").stdout.splitlines()
    assert "stage 2 of at most 2" in lines[0]
    assert "done in" in lines[-1]
    again = lockstep(copy, "repro", "--quiet")
    assert again.stderr.startswith("0 stages ran in ")

    copy.set("iris", "split", test_size=2)
    refused = lockstep(copy, "repro", check=False)
    assert refused.returncode == 255
    assert "problems.iris.split.test_size is 2." in refused.stderr
    assert "; dvc repro ended with exit code 255\n" in refused.stderr
    assert "ERROR problems" not in lockstep(copy, "log", "iris").stdout
    assert "not ended" in lockstep(copy, "log", "iris").stdout


def test_a_log_of_what_never_ran(built_repository, tmp_path):
    copy = built_repository.copy_to(tmp_path / "repository")
    for what, message in (
        ("nope", "has no problem 'nope'"),
        ("fly@iris", "has no run of the stage fly@iris. Its stages"),
    ):
        done = lockstep(copy, "log", what, check=False)
        assert (done.returncode, message in done.stderr) == (2, True)
