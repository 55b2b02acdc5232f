"""Finds the models of a problem that a repository's history recorded, each once, with all the revisions that have
it."""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.kernel.lock_file import LOCK_FILE
from lockstep.repository import git
from lockstep.repository.dvc import Repository
from lockstep.repository.evaluated_models import recorded_locks, stage_files
from lockstep.repository.experiments import names_of_commits
from lockstep.repository.revisions import WORKSPACE


class Record(NamedTuple):
    """A dvc.lock, and the revisions that have it.

    Attributes:
        names: of the workspace, branches, tags and experiments that have it; or those that it was asked for by.
        commits: the commits that have it, newest first; none if only the workspace does.
        lock: its content.
    """

    names: tuple[str, ...]
    commits: tuple[str, ...]
    lock: bytes


class TrainedModel(NamedTuple):
    """A model of a problem, by the revisions that have it.

    Attributes:
        names: as of Record, of all that have it.
        n_commits: how many commits have it.
        commit: the one that first recorded it as it is in the newest of them; None if only the workspace has it.
        test_md5: of the file of test rows that have evaluated it; None if none have.
    """

    names: tuple[str, ...]
    n_commits: int
    commit: str | None
    test_md5: str | None


def all_records(repo: Repository) -> list[Record]:
    """Find every dvc.lock that a branch, tag, remote branch, stash, experiment or the workspace has: that of HEAD
    first, then the workspace's, then the newest."""
    path = repo.root / LOCK_FILE
    names, head = names_of_commits(repo.git_root), git.output("rev-parse", "HEAD", root=repo.git_root).strip()
    records = [
        Record(tuple(name for commit in found.commits for name in names.get(commit, ())), found.commits, found.content)
        for found in recorded_locks(repo.git_root, path.relative_to(repo.git_root).as_posix())
    ]
    if path.is_file():
        records.insert(0, Record((WORKSPACE,), (), path.read_bytes()))
    return sorted(records, key=lambda record: head not in record.commits)


def asked_records(repo: Repository, revisions: Sequence[tuple[str, str | None]]) -> list[Record]:
    """Read the dvc.lock of each revision, given by its name and commit (None: the workspace)."""
    return [
        Record((name,), () if commit is None else (commit,), repo.read(commit, LOCK_FILE.as_posix()) or b"")
        for name, commit in revisions
    ]


def trained_models(records: Sequence[Record], problem: str) -> list[TrainedModel]:
    """Find the models of a problem, each once, in the order of the records.

    Two revisions have the same model if every prediction of the test rows is the same, or, of models that no test rows
    have evaluated, every byte; and every score of the folds.
    """
    having: dict[tuple[str, str | None], list[Record]] = {}
    tested: dict[tuple[str, str | None], str | None] = {}
    for record in records:
        if found := _identify(record.lock, problem):
            having.setdefault(found[0], []).append(record)
            tested.setdefault(*found)
    models = []
    for key, group in having.items():
        commits = [commit for record in group for commit in record.commits]
        first = next((record.commits[-1] for record in group if record.commits), None)
        names = sorted(
            dict.fromkeys(name for record in group for name in record.names), key=lambda name: name != WORKSPACE
        )
        models.append(TrainedModel(tuple(names), len(set(commits)), first, tested[key]))
    return models


def _identify(lock: bytes, problem: str) -> tuple[tuple[str, str | None], str | None] | None:
    """What tells a problem's model in a dvc.lock from others, and the hash of the test rows that have evaluated it;
    None where none was trained."""
    stages = (f"{name}@{problem}" for name in ("train", "evaluate", "cross_validate"))
    train, evaluate, folds = (stage_files(lock, stage) for stage in stages)
    model = _md5(train.outs, ".joblib") if train else None
    if model is None:
        return None
    scores = _md5(folds.outs, "/folds.csv") if folds else None
    if evaluate is None or _md5(evaluate.deps, ".joblib") != model:
        return (model, scores), None
    predictions = _md5(evaluate.outs, f"predictions/{problem}.parquet")
    return (predictions or model, scores), _md5(evaluate.deps, "/test.parquet")


def _md5(files: dict[str, str], suffix: str) -> str | None:
    return next((md5 for path, md5 in files.items() if path.endswith(suffix)), None)
