"""Kill -9 at random moments: one command heals, the outputs are those of an undisturbed run, nobody lives on.

``pytest -s`` prints how many kills left DVC's rwlock unreadable.
"""

import hashlib
import random
import shutil
import time

import pytest
from dvc_forks import Forks
from repository import ROOT, Repository, environment

MEND = ["doctor", "--leftovers", "--fix"]
"""What ``make repro`` does before ``dvc repro`` (test_make_repro_is_what_heals)."""
SEED = 6
WHOM = ("group", "dvc", "stage")
QUICK_KILLS, REAL_KILLS = 94, 6

QUICK_STAGE = '''
"""Copies a file and counts its lines: what every stage does, without the seconds that pandas takes to import."""

import sys
import time
from pathlib import Path

from lockstep.files import Outputs
from lockstep.stage import run_stage, stage_parser


def execute(problem, args):
    text = args.source.read_bytes()
    time.sleep(0.03)
    with Outputs() as outputs:
        outputs.write(args.copy, lambda path: path.write_bytes(text + args.copy.name.encode()))
        outputs.json(args.count, {"lines": text.count(b"\\n")})


def main():
    parser = stage_parser("quick", __doc__)
    for name in ("source", "copy", "count"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return run_stage("quick", parser.parse_args(), execute)


if __name__ == "__main__":
    sys.exit(main())
'''


QUICK = ("one", "two")


def quick_pipeline():
    """A dvc.yaml in which each stage copies the file of the one before it."""
    lines, source = ["stages:"], "data/raw/iris.csv"
    for name in QUICK:
        copy, count = f"data/copies/{name}.csv", f"metrics/{name}.json"
        lines += [
            f"  {name}:",
            f"    cmd: python -m stages.quick --problem iris --source {source} --copy {copy} --count {count}",
            f"    deps: [{source}, stages/quick.py]",
            f"    outs: [{copy}]",
            f"    metrics: [{{{count}: {{cache: false}}}}]",
        ]
        source = copy
    return "\n".join(lines) + "\n"


class Undisturbed:
    """A repository whose outputs an undisturbed run has made; what they are, and how long it took."""

    def __init__(self, repository, forks, outputs, *targets):
        self.repository, self.forks, self.folder, self.outputs = repository, forks, repository.folder, outputs
        self.repro, self.mended = ["dvc", "repro", *targets], 0
        self.raw = self.digests(["data/raw/iris.csv", "data/raw/housing.csv"])
        self.forget()
        start = time.monotonic()
        code, printed = forks.run(self.folder, self.repro)
        assert code == 0, printed
        self.seconds = time.monotonic() - start
        self.lock, self.made = repository.lock(), self.digests(outputs)

    def digests(self, files):
        return {file: hashlib.sha256((self.folder / file).read_bytes()).hexdigest() for file in files}

    def forget(self):
        """Remove everything that was built, from the cache of runs too, so that a run has to make it anew."""
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        for output in self.outputs:
            (self.folder / output).unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)

    def disturb(self, whom, share):
        """Kill a run of it when ``share`` of its time is over; False if it had ended by then."""
        self.forget()
        fork = self.forks.start(self.folder, self.repro)
        time.sleep(share * self.seconds)
        killed = not fork.ended() and fork.kill(whom)
        fork.wait()
        if killed:
            assert fork.survivors() == [], f"{whom} killed after {share:.0%}"
        return killed

    def check_healed(self, case):
        code, printed = self.forks.run(self.folder, MEND, self.repro)
        assert code == 0, f"{case}: {printed}"
        self.mended += "is unreadable" in printed
        assert self.repository.lock() == self.lock, case
        assert self.digests(self.outputs) == self.made, case
        assert self.digests(self.raw) == self.raw, case
        found = [str(path) for path in self.folder.rglob("*.tmp") if ".dvc/tmp" not in str(path)]
        assert found == [], case


def kill(undisturbed, kills):
    """Kill ``kills`` runs, each followed by one command that heals."""
    rng, done = random.Random(SEED), 0
    for attempt in range(5 * kills):
        if done == kills:
            break
        whom, share = WHOM[done % len(WHOM)], rng.random()
        if undisturbed.disturb(whom, share):
            done += 1
            undisturbed.check_healed(f"kill {done} (attempt {attempt}) of {whom} after {share:.0%}")
    assert done == kills
    print(f"{kills} kills in {attempt + 1} runs of {undisturbed.seconds:.2f} s; bad rwlock: {undisturbed.mended}")


@pytest.fixture(scope="module")
def forks():
    with Forks(environment()) as server:
        yield server


@pytest.mark.slow
def test_kills_of_a_quick_pipeline(forks, tmp_path):
    repository = Repository(tmp_path / "repository")
    (repository.folder / "stages/quick.py").write_text(QUICK_STAGE)
    (repository.folder / "dvc.yaml").write_text(quick_pipeline())
    outputs = [f"data/copies/{name}.csv" for name in QUICK] + [f"metrics/{name}.json" for name in QUICK]
    kill(Undisturbed(repository, forks, outputs), QUICK_KILLS)


@pytest.mark.slow
def test_kills_of_the_real_pipeline(forks, tmp_path):
    repository = Repository(tmp_path / "repository")
    outputs = [
        "data/loaded/iris.parquet",
        "metrics/iris_profile.json",
        *(f"data/split/iris/{part}.parquet" for part in ("train", "validation", "test")),
        "metrics/iris_checks.json",
        "models/iris/preprocessor.joblib",
        "data/processed/iris/train.parquet",
        "models/iris/random_forest_classifier_v1.joblib",
        "metrics/plots/iris/history.csv",
    ]
    kill(Undisturbed(repository, forks, outputs, "train@iris"), REAL_KILLS)


def test_make_repro_is_what_heals():
    """One plain command: what its recipe runs, in order, is what the kills above are followed by."""
    recipes = (ROOT / "Makefile").read_text()
    assert "repro: $(READY) leftovers $(BUNDLED)\n\tdvc repro\n" in recipes
    assert f"leftovers: $(READY)\n\t@python -m lockstep {' '.join(MEND)}\n" in recipes
