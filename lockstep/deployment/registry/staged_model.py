"""The model that stands in a stage: its bytes, settings and contract as its commit has them, not the workspace."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lockstep.deployment.registry.registered import Held, Registered, find_registered, nothing_in
from lockstep.deployment.registry.tags import artifact_name, check_stage, read_tags
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError, called
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.repository.cache import is_intact, object_path
from lockstep.repository.dvc import Repository
from lockstep.repository.dvc_process import TIME_LIMIT, run_dvc
from lockstep.repository.revisions import Revision, opened_repository, read_revision, stage_output

_EVALUATION = (("split", "/test.parquet"), ("evaluate", ".parquet"))
"""The test rows and their predictions: the stage that makes each, and how the name of its output ends."""


class StagedModel(NamedTuple):
    """A model in a stage.

    Attributes:
        problem, stage: of the registry.
        version: that its commit has; None where it has none.
        commit: its hash.
        file: the model's path in the repository.
        root: a folder with what is needed of the commit, in the places where the repository has it: the model and its
            sidecar, params.yaml, the contract, dvc.lock and, if they are at hand or were asked for, the training rows;
            the test rows and their predictions, if they were asked for.
    """

    problem: str
    stage: str
    version: str | None
    commit: str
    file: str
    root: Path

    @property
    def path(self) -> Path:
        """Where the model file lies."""
        return self.root / self.file

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.problem} {self.version or self.commit[:7]}, in {self.stage}"


@contextmanager
def staged_model(problem: str, stage: str, *, evaluated: bool = False) -> Iterator[StagedModel]:
    """Find the model that ``stage`` has of ``problem``; what is found is gone when the block ends.

    Args:
        evaluated: whether what it was fitted on and evaluated by is needed.

    Raises:
        SettingsError: the stage has none, or cannot be the name of one.
        DataError: the commit records no model, or no evaluation that is needed.
        IntegrityError: its bytes are neither in DVC's cache nor in the workspace nor on the remote, or not the recorded
            ones.
        MachineError: no DVC or git repository.
    """
    check_stage(stage)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        root = Path(folder)
        with opened_repository() as repo:
            found, held = _in_stage(repo, problem, stage)
            version = found.version_of(held.commit)
            shown = f"{problem} {found.name_of(held.commit)} ({held.commit[:7]})"
            revision = read_revision(repo, held.commit, problem)
            model = stage_output(repo, revision, f"train@{problem}", ".joblib")
            sidecar = stage_output(repo, revision, f"train@{problem}", ".joblib.json")
            if model is None or sidecar is None:
                raise DataError(f"{shown}, which is in '{stage}', has no model: its dvc.lock records none.")
            rows = stage_output(repo, revision, f"split@{problem}", "/train.parquet")
            more = [rows] if evaluated else []
            for made_by, suffix in _EVALUATION if evaluated else ():
                more.append(stage_output(repo, revision, f"{made_by}@{problem}", suffix))
            needed = [file for file in more if file is not None]
            if len(needed) < len(more):
                raise DataError(f"{shown}, which is in '{stage}', was never evaluated: its dvc.lock records no test.")
            _place(repo, [model, sidecar, *needed], root, shown)
            if rows is not None and not evaluated:
                _link(repo, rows, root)
            _place_settings(repo, revision, problem, root)
        with called(f"{root}/", f"{shown}: "):
            yield StagedModel(problem, stage, version, held.commit, model.path, root)


def stage_tag(problem: str, stage: str) -> str:
    """The tag that put a model of ``problem`` into ``stage``, where it is: a revision for git. Raises as staged_model,
    but for what it says of bytes."""
    check_stage(stage)
    with opened_repository() as repo:
        return _in_stage(repo, problem, stage)[1].tag.name


def _in_stage(repo: Repository, problem: str, stage: str) -> tuple[Registered, Held]:
    """What the registry has of a problem, and the model that is in a stage. Raises SettingsError: none is."""
    found = find_registered(artifact_name(problem, repo.root, repo.git_root), read_tags(repo.git_root))
    held = found.held(stage)
    if held is None:
        raise SettingsError(nothing_in(stage, problem, found))
    return found, held


def _place(repo: Repository, files: list[LockedFile], root: Path, shown: str) -> None:
    """Put files of a commit in their places below ``root``; what is not here is fetched."""
    lacking = [file for file in files if not _link(repo, file, root)]
    if not lacking:
        return
    paths = [file.path for file in lacking]
    try:
        done = run_dvc(["fetch", "--quiet", "--all-commits", *paths], TIME_LIMIT, folder=repo.root)
        reason = f" ({done.reason})" if done.code else ""
    except MachineError as error:
        reason = f" ({str(error).rstrip('.')})"
    if lost := [file for file in lacking if not _link(repo, file, root)]:
        raise IntegrityError(
            f"{shown}: {', '.join(file.path for file in lost)} is neither in DVC's cache, with the recorded bytes, nor "
            f"on the remote{reason}. Whoever has it types 'python -m lockstep remote push' there; 'dvc remote list' "
            f"shows where it is looked for. Else 'python -m lockstep rebuild {shown.split('(')[1][:7]}' makes it anew."
        )


def _link(repo: Repository, file: LockedFile, root: Path) -> bool:
    """Link to the bytes of a file, in DVC's cache or the workspace, from its place below ``root``; False where neither
    has them."""
    place = root / file.path
    for path in (object_path(repo.cache, file), repo.root / file.path):
        if is_intact(path, file):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
            return True
    return False


def _place_settings(repo: Repository, revision: Revision, problem: str, root: Path) -> None:
    """Write what git has of the commit."""
    for path in (PARAMS, LOCK_FILE, CONTRACTS / f"{problem}.yaml"):
        if (content := repo.read(revision.commit, path.as_posix())) is not None:
            place = root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
