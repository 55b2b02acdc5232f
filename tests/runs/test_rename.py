"""A problem that is renamed is built once more, and its models are the same to the bit."""

import hashlib

import pytest


@pytest.mark.exhaustive
@pytest.mark.slow
def test_models_are_the_same_under_another_name(built_repository, tmp_path):
    repository = built_repository.copy_to(tmp_path / "copy")

    def models(problem):
        paths = sorted((repository.folder / f"models/{problem}").glob("*.joblib"))
        return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]

    before = models("iris")
    assert len(before) == 2
    done = repository.lockstep("rename", "iris", "flowers")
    assert models("flowers") == before  # moved
    assert {"load@flowers", "train@flowers"} <= set(repository.repro("train@flowers"))
    assert models("flowers") == before  # built
    undo = next(line for line in done.stdout.splitlines() if line.startswith("Undo:")).removeprefix("Undo:")
    repository.run("bash", "-c", undo)
    assert models("iris") == before
    assert repository.changed() == set()
