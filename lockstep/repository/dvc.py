"""Opens DVC's repositories: the one module, beside dvc_config, that imports DVC.

DVC promises nothing about what is used here, so pyproject.toml pins it to the minor version that this was tested with.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from lockstep.kernel.environment import VERSIONS, read_versions
from lockstep.kernel.errors import IntegrityError, MachineError, SettingsError
from lockstep.kernel.lock_file import ABSENT, LockedFile, LockedStage, value_at
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.strict_yaml import read_yaml
from lockstep.kernel.used_code import is_record
from lockstep.repository.dvc_process import write_settings_as_utf8
from lockstep.repository.hashes import present, to_be_read

from dvc.dependency.param import ParamsDependency  # type: ignore[import-untyped]
from dvc.exceptions import DvcException, NotDvcRepoError  # type: ignore[import-untyped]
from dvc.fs import localfs  # type: ignore[import-untyped]
from dvc.repo import Repo  # type: ignore[import-untyped]
from dvc.schema import (  # type: ignore[import-untyped]
    COMPILED_LOCKFILE_SCHEMA,
    COMPILED_MULTI_STAGE_SCHEMA,
    COMPILED_SINGLE_STAGE_SCHEMA,
)
from dvc.scm import NoSCM, RevError, SCMError, resolve_rev  # type: ignore[import-untyped]
from dvc.stage import PipelineStage  # type: ignore[import-untyped]
from dvc.utils import dict_sha256, strictyaml  # type: ignore[import-untyped]
from dvc.utils.serialize import ParseError, load_yaml, parse_yaml  # type: ignore[import-untyped]
from scmrepo.exceptions import SCMError as GitError

write_settings_as_utf8()


class Remotes(NamedTuple):
    """The remotes that are set up: their names, sorted, and which of them is the default."""

    names: list[str]
    default: str | None


class Repository:
    """A DVC repository within a git repository; to be closed, as by ``with``.

    Args:
        root: a folder of it; None for the current one.

    Attributes:
        root: its folder.
        git_root: the folder of the git repository, the same or one above it.
        cache: the folder of DVC's objects, which are named by MD5.

    Raises:
        MachineError: there is none, or it is in no git repository.
    """

    def __init__(self, root: Path | None = None) -> None:
        try:
            self._repo = Repo(None if root is None else str(root))
            git = not isinstance(self._repo.scm, NoSCM)
        except NotDvcRepoError:
            raise MachineError("This folder is in no DVC repository. Run it from the repository's root.") from None
        except SCMError:
            git = False
        except DvcException as error:
            raise MachineError(f"DVC cannot open this repository: {error}. 'dvc doctor' says more.") from None
        if not git:
            raise MachineError(
                "This DVC repository is in no git repository, so it has no revisions. Run it from a clone, or make "
                "one: 'git init', then commit."
            )
        self.root, self.git_root = Path(self._repo.root_dir), Path(self._repo.scm.root_dir)
        self.cache = Path(self._repo.cache.local.path)
        self._opened: tuple[str, Any] | None = None  # the last commit that was read, and its files: slow to list

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of its files."""
        self._repo.close()

    def commit_of(self, name: str) -> str:
        """Find the hash of the commit that ``name`` means to DVC, so that it means the same in all commands.

        Raises:
            ValueError: it means none; with the reason.
        """
        scm = self._repo.scm
        try:
            commit = str(resolve_rev(scm, name)) if name else ""
            if not commit or scm.resolve_commit(commit).hexsha != commit:
                raise RevError(f"'{name}' is no commit")
        except AttributeError:  # git knows the name, of a file or a folder, and DVC asks it for what commits have
            raise ValueError("it is not a commit") from None
        except (DvcException, GitError, ValueError) as error:
            raise ValueError(str(error)) from None
        return commit

    def read(self, commit: str | None, path: str) -> bytes | None:
        """A file of the workspace (``commit`` None) or, where git tracks it, of a commit; None if there is none."""
        file = self.root / path
        try:
            if commit is None:
                return file.read_bytes()
            if self._opened is None or self._opened[0] != commit:
                self._opened = commit, self._repo.scm.get_fs(commit)
            with self._opened[1].open(file.relative_to(self.git_root).as_posix(), "rb") as handle:
                content: bytes = handle.read()
                return content
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    @property
    def stage_names(self) -> set[str]:
        """The stages that dvc.yaml has, such as ``train@iris``, and those of .dvc files."""
        return {stage.addressing for stage in self._stages()}

    @property
    def uncached(self) -> set[str]:
        """The paths of outputs that are kept in git, not in DVC's cache."""
        outs = [out for stage in self._stages() for out in stage.outs]
        return {self._path(out) for out in outs if not out.use_cache and out.protocol == "local"}

    @property
    def remotes(self) -> Remotes:
        """By all of DVC's settings."""
        config = self._repo.config
        return Remotes(sorted(config["remote"]), config["core"].get("remote"))

    def share_local_remotes(self, clone: Path) -> None:
        """Let another clone use the remotes that the user has set up for this one alone, with their credentials."""
        remotes = self._repo.config.load_one("local").get("remote")
        if remotes:
            with Repo(str(clone)) as other, other.config.edit("local") as settings:
                settings["remote"] = remotes

    def files_in(self, folder: Path) -> list[Path]:
        """The files below a folder that DVC looks at: those that .dvcignore does not leave out."""
        return [Path(path) for path in self._repo.dvcignore.find(localfs, str(folder))]

    def is_ignored(self, path: str) -> bool:
        """Whether .dvcignore leaves out a file, which need not be there."""
        return bool(self._repo.dvcignore.is_ignored_file(str(self.root / path)))

    def current_stages(self, known: dict[str, LockedFile] | None = None) -> dict[str, LockedStage]:
        """Find what dvc.lock would say of each stage in dvc.yaml, were it written now, by the bytes of all files.

        Args:
            known: files hashed before, by path; those hashed now are added.

        Raises:
            SettingsError: dvc.yaml or a parameter file cannot be read.
        """
        known = {} if known is None else known
        contents: dict[str, Any] = {}
        try:
            stages = [stage for stage in self._stages() if isinstance(stage, PipelineStage)]
            return {stage.addressing: self._current(stage, contents, known) for stage in stages}
        except DvcException as error:
            raise _unreadable(error) from None

    def _stages(self) -> list[Any]:
        """DVC's stages. Raises SettingsError if it cannot read them."""
        try:
            return list(self._repo.index.stages)
        except DvcException as error:
            raise _unreadable(error) from None

    def _current(self, stage: Any, contents: dict[str, Any], known: dict[str, LockedFile]) -> LockedStage:
        params: dict[str, dict[str, Any]] = {}
        for dep in stage.params:
            file = self._path(dep)
            content = self._content(file, contents)
            values = {key: value_at(content, key) for key in dep.params}
            params[file] = {key: value for key, value in values.items() if value is not ABSENT}

        paths = [self._path(entry) for entry in stage.deps if not isinstance(entry, ParamsDependency)]
        settings = self._content(PARAMS.name, contents) if any(map(is_record, paths)) else {}
        deps = tuple(to_be_read(path, settings, self.root, known, self.files_in) for path in paths)
        outs = tuple(present(self._path(out), self.root, known, self.files_in) for out in stage.outs)
        return LockedStage(stage.addressing, stage.cmd, deps, params, outs)

    def _content(self, file: str, contents: dict[str, Any]) -> Any:
        """The content of a parameter file, which is read once."""
        if file not in contents:
            path = self.root / file
            contents[file] = read_versions(path) if file == VERSIONS.name else read_yaml(path)
        return contents[file]

    def _path(self, entry: Any) -> str:
        return Path(entry.fs_path).relative_to(self.root).as_posix()


def _unreadable(error: DvcException) -> SettingsError:
    return SettingsError(f"dvc.yaml cannot be read: {error}. Correct it there; 'dvc status' says more.")


def form_error(path: Path) -> str | None:
    """Why DVC would refuse a dvc.yaml, dvc.lock or .dvc file, in its own words; None where its reader and its schema
    take the file. What the stages in dvc.yaml say is not looked at."""
    schemas = {".yaml": COMPILED_MULTI_STAGE_SCHEMA, ".lock": COMPILED_LOCKFILE_SCHEMA}
    try:
        strictyaml.load(str(path), schemas.get(path.suffix, COMPILED_SINGLE_STAGE_SCHEMA))
    except (DvcException, ValueError) as error:  # ValueError: a date that there is not
        return " ".join(str(getattr(error, "exc", error)).split())
    return None


def damaged_runs(cache: Path) -> list[Path]:
    """What DVC would stumble over in its run cache, sorted: entries that are not what it wrote, and empty folders.

    The newest file in the folder of a stage with certain inputs is its entry, named by the hash of its content, sizes
    apart, as JSON (``_load`` and ``_get_cache_hash`` in DVC's stage/cache.py). DVC does not compare the two. An entry
    that is no YAML it removes, and fails over the folder that it leaves.

    Args:
        cache: the folder of objects by MD5, beside which runs are kept.
    """
    folders = sorted((cache.parents[1] / "runs").glob("??/*/"))
    empty = [folder for folder in folders if not any(folder.iterdir())]
    return empty + [path for folder in folders for path in sorted(folder.iterdir()) if _is_damaged_run(path)]


def _is_damaged_run(path: Path) -> bool:
    try:
        return bool(dict_sha256(load_yaml(str(path)), exclude=["size", "nfiles"]) != path.name)
    except (ParseError, ValueError):
        return True


def read_dvc_yaml(data: bytes, where: str, remedy: str) -> dict[str, Any]:
    """Parse YAML that DVC wrote or reads as it does. Raises IntegrityError where it is no mapping."""
    try:
        content = parse_yaml(data.decode("utf-8"), where)
    except (ParseError, UnicodeDecodeError):
        raise IntegrityError(f"{where} is not valid YAML. {remedy}.") from None
    if not isinstance(content, dict):
        raise IntegrityError(f"{where} is not a mapping. Correct it, or name another revision.")
    return content
