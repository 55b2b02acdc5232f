"""Which model serves: opened once, after its bytes agree with what is recorded of them."""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockstep.deployment.serving.predicting import RowScorer, make_scorer, note_of
from lockstep.kernel.errors import LockstepError
from lockstep.kernel.lock_file import LOCK_FILE, md5_of_bytes, outputs, parse_lock
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.repository import git
from lockstep.saving.sidecar import read_trusted

if TYPE_CHECKING:
    from lockstep.deployment.registry.staged_model import StagedModel  # imports DVC, which serving a file does without

COMMIT = "LOCKSTEP_COMMIT"
"""The environment variable that names the commit where there is no git repository, as in a container."""


class Identity(NamedTuple):
    """What every answer names.

    Attributes:
        problem: its name in params.yaml, or the model's folder.
        file: the model file, as it was given.
        sha256, md5: of its bytes, in hexadecimal digits; MD5 is what dvc.lock records.
        commit: the commit whose dvc.lock records these bytes, or what LOCKSTEP_COMMIT says where there is no git; None
            where neither names one.
        note: what is to be known of the probabilities; "" for nothing.
        version, stage: of the registry, where the model was asked for by its stage.
    """

    problem: str
    file: str
    sha256: str
    md5: str
    commit: str | None
    note: str = ""
    version: str | None = None
    stage: str | None = None


def open_model(
    path: Path, problem: str | None = None, sha256: str | None = None, staged: "StagedModel | None" = None
) -> tuple[RowScorer, Identity]:
    """Open the model at ``path``, or that of a stage, which lies there. Arguments and errors as of ``make_scorer``."""
    data = read_trusted(path, sha256)
    digest, md5 = hashlib.sha256(data).hexdigest(), md5_of_bytes(data)
    root = Path() if staged is None else staged.root
    scorer = make_scorer(path, problem, root / PARAMS, contracts=root / CONTRACTS, sha256=digest)  # of these very bytes
    name, note = problem or path.resolve().parent.name, note_of(scorer, path)
    if staged is not None:
        return scorer, Identity(name, staged.file, digest, md5, staged.commit, note, staged.version, staged.stage)
    return scorer, Identity(name, path.as_posix(), digest, md5, _commit_of(path, md5), note)


def _commit_of(path: Path, md5: str) -> str | None:
    """HEAD, if its dvc.lock records these bytes of the file; else what the environment says, where there is no git."""
    try:
        head = git.output("rev-parse", "HEAD").strip()
        lock = git.committed(LOCK_FILE)
    except LockstepError:
        return os.environ.get(COMMIT) or None
    place = path.parent.resolve() / path.name
    if lock is None or not place.is_relative_to(Path.cwd()):
        return None
    try:
        recorded = outputs(parse_lock(lock, f"{LOCK_FILE} in HEAD", "commit a sound one").values())
    except LockstepError:
        return None
    found = recorded.get(place.relative_to(Path.cwd()).as_posix())
    return head if found is not None and found[0].md5 == md5 else None
