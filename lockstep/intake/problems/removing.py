"""Removes a problem from the repository, or gives it another name: all of it, or nothing."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lockstep.intake.editing.undoing import as_committed, hidden_folder, undone_on_error
from lockstep.intake.editing.yaml_entries import with_renamed_entry, without_entries
from lockstep.intake.problems.problem_files import (
    IGNORED,
    NO_FEATURES,
    ProblemFiles,
    files_of,
    ignoring,
    kept_rows_of,
    outputs_of,
    watch_record_of,
)
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import LOCK_FILE, LockedFile, md5_of, read_lock
from lockstep.kernel.paths import CONTRACTS, PARAMS, PIPELINE, features_of
from lockstep.kernel.settings import check_problem_name, check_problems, check_there, read_problems
from lockstep.kernel.strict_yaml import parse_yaml, read_yaml
from lockstep.repository.cache import cache_folder, is_intact, object_path


class ProblemChange(NamedTuple):
    """What removing or renaming a problem comes to; nothing is done yet.

    Attributes:
        texts: the files that are edited, as they will be.
        moves: files and folders, each with its new place; None if it goes.
        lost: what neither the last commit nor DVC's cache could give back.
        undo: a command that takes it all back; "" where nothing can be.
    """

    texts: dict[Path, str]
    moves: dict[Path, Path | None]
    lost: list[Path]
    undo: str


def plan_removal(name: str) -> ProblemChange:
    """Find what goes with the problem ``name``. Raises SettingsError: there is none, or a file cannot be edited."""
    files = _files(name)
    texts = {PARAMS: without_entries(_text(PARAMS), PARAMS, "problems", [name]), **_without_stages(name)}
    if "artifacts" in read_yaml(PIPELINE):
        texts[PIPELINE] = without_entries(_text(PIPELINE), PIPELINE, "artifacts", [name])
    if files.data and IGNORED.exists():
        texts[IGNORED] = ignoring(_text(IGNORED), files.data[0])
    check_problems(parse_yaml(texts[PARAMS].encode(), PARAMS), PARAMS)
    _check_named_no_more(name, texts)
    texts, gone = _changed(texts), files.present()
    committed = as_committed([*texts, *gone])
    lost = [path for path in texts if path not in committed]
    lost += [path for path in _files_below(gone) if path not in committed and not is_in_cache(path)]
    kept = [path for path in gone if committed & set(_files_below([path]))]
    back = [str(path) for path in (*texts, *kept) if path not in lost]
    undo = f"{shlex.join(['git', 'checkout', 'HEAD', '--', *back])} && dvc checkout" if back else ""
    return ProblemChange(texts, dict.fromkeys(gone), lost, undo)


def plan_renaming(old: str, new: str) -> ProblemChange:
    """Find what changes if the problem ``old`` is called ``new``.

    Raises:
        SettingsError: there is no ``old``; ``new`` is no name, or is taken; a file cannot be edited.
    """
    files = _files(old)
    check_problem_name(new, "the new name")
    moves = {files.contract: CONTRACTS / f"{new}.yaml", files.features: features_of(new)}
    moves[files.watch] = watch_record_of(new)
    moves |= dict(zip(files.outputs, outputs_of(new), strict=True))
    kept = {}
    if files.kept == kept_rows_of(old):
        moves[files.kept] = kept_rows_of(new)
        kept[files.kept.as_posix()] = kept_rows_of(new).as_posix()
    named = {f"${{problems.{old}.": f"${{problems.{new}.", f"models/{old}/": f"models/{new}/"}
    texts, data = _without_stages(old), {}
    if files.data and files.data[0].name.split(".")[0] == old:
        table, pointer = files.data
        renamed = table.with_name(new + table.name.removeprefix(old))
        moves |= {table: renamed, pointer: Path(f"{renamed}.dvc")}
        data = {table.as_posix(): renamed.as_posix()}
        path = rf"^( *(?:- )?path: ){re.escape(table.name)}$"
        texts[pointer] = re.sub(path, rf"\g<1>{renamed.name}", _text(pointer), flags=re.MULTILINE)
        texts |= {IGNORED: ignoring(_text(IGNORED), table, renamed)} if IGNORED.exists() else {}
    texts[PARAMS] = with_renamed_entry(_text(PARAMS), PARAMS, "problems", old, new, data | kept)
    if "artifacts" in read_yaml(PIPELINE):
        texts[PIPELINE] = with_renamed_entry(_text(PIPELINE), PIPELINE, "artifacts", old, new, named)
    check_problems(parse_yaml(texts[PARAMS].encode(), PARAMS), PARAMS)
    _check_named_no_more(old, texts)
    if files.features.exists() and _text(files.features) == NO_FEATURES.format(name=old):
        texts[files.features] = NO_FEATURES.format(name=new)
    moves = {path: place for path, place in moves.items() if path.exists()}
    for place in moves.values():
        if place.exists():
            raise SettingsError(f"{place} exists already. Remove it, or give another name than '{new}'.")
    texts = _changed(texts)
    undo = f"python -m lockstep rename {new} {old}"
    if LOCK_FILE in texts:  # it was run: what its stages made is in DVC's cache of runs
        undo += f" && git checkout {LOCK_FILE}" if LOCK_FILE in as_committed([LOCK_FILE]) else ""
        undo += f" && dvc repro report@{old}"
    return ProblemChange(texts, {**moves}, [], undo)


def carry_out(change: ProblemChange) -> None:
    """Do it; if anything fails, nothing is changed."""
    with hidden_folder("removed") as folder:
        moved = {path: place or folder / str(number) for number, (path, place) in enumerate(change.moves.items())}
        with undone_on_error(change.texts, moved=moved), Outputs() as outputs:
            for file, text in change.texts.items():
                outputs.text(file, text)


def _files(name: str) -> ProblemFiles:
    problems = read_problems(PARAMS)
    check_there(name, problems, PARAMS)
    return files_of(name, problems)


def _text(file: Path) -> str:
    return file.read_bytes().decode()  # with its line breaks


def _changed(texts: dict[Path, str]) -> dict[Path, str]:
    return {file: text for file, text in texts.items() if text != _text(file)}


def _without_stages(name: str) -> dict[Path, str]:
    """dvc.lock without the stages of a problem."""
    if not LOCK_FILE.exists():
        return {}
    stages = [stage for stage in read_lock() if stage.rpartition("@")[2] == name]
    return {LOCK_FILE: without_entries(_text(LOCK_FILE), LOCK_FILE, "stages", stages)}


def _check_named_no_more(name: str, texts: dict[Path, str]) -> None:
    """Refuse a dvc.yaml in which something else names the problem: DVC would refuse every command."""
    for number, line in enumerate(texts.get(PIPELINE, _text(PIPELINE)).splitlines(), 1):
        if re.search(rf"\$\{{\s*problems\.{name}[.\[}}]", line):
            raise SettingsError(
                f"{PIPELINE} names the problem '{name}' elsewhere, too: {line.strip()} (line {number} once it is "
                "changed). Change that first."
            )


def _files_below(paths: Iterable[Path]) -> list[Path]:
    found = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return [file for file in found if not file.is_dir()]


def is_in_cache(path: Path) -> bool:
    """Whether DVC's cache has the bytes of a file."""
    file = LockedFile(path.as_posix(), md5_of(path), None)
    return is_intact(object_path(cache_folder(), file), file)
