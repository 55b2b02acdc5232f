"""Kill -9 at random moments: one command heals, the outputs are those of an undisturbed run, nobody lives on.

``pytest -s`` prints how many kills left DVC's rwlock unreadable.
"""

import random
import re

import pytest
from quick import FIX, QuickRepository, Undisturbed
from workspace import ROOT, Repository

WHOM = ("group", "dvc", "stage")
REAL_KILLS = 4


def kill(undisturbed, kills, seed):
    """Kill ``kills`` runs, each followed by one command that heals."""
    rng, done = random.Random(seed), 0
    for attempt in range(5 * kills):
        if done == kills:
            break
        whom, share = WHOM[done % len(WHOM)], rng.random()
        if undisturbed.disturb(whom, share):
            done += 1
            undisturbed.check_healed(f"kill {done} (attempt {attempt}) of {whom} after {share:.0%}")
    assert done == kills
    print(f"{kills} kills in {attempt + 1} runs of {undisturbed.seconds:.2f} s; bad rwlock: {undisturbed.unreadable}")


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kills_of_a_quick_pipeline(tmp_path):
    kill(Undisturbed(QuickRepository(tmp_path / "repository")), 96, seed=7)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_kills_of_the_real_pipeline(tmp_path):
    repository = Repository(tmp_path / "repository")
    (repository.folder / "dvc.lock").unlink()  # else a kill amid its writing is healed with the last commit's
    repository.run("git", "checkout", "-q", "--orphan", "other")  # and what older ones record need not run
    repository.commit("no lock")
    kill(Undisturbed(repository, "train@iris"), REAL_KILLS, seed=6)


def test_make_repro_is_what_heals():
    """One plain command: what its recipe runs, in order, is what the kills above are followed by."""
    recipes = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^repro: \$\(READY\) leftovers .*\n((?:\t.*\n)+)", recipes, re.MULTILINE)
    assert recipe is not None
    assert "\t@python -m lockstep repro\n" in recipe[1]
    assert f"leftovers: $(READY)\n\t@python -m lockstep {' '.join(FIX)}\n" in recipes
