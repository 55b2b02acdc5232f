"""Adds a problem to the repository: the file, its contract, the blocks in params.yaml and dvc.yaml; all or nothing."""

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.choosing.setting_choices import Choices, problem_block
from lockstep.intake.detecting.file_format import TableFacts
from lockstep.intake.editing.undoing import as_committed, dvc_add, undone_on_error
from lockstep.intake.editing.yaml_entries import with_entry
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.intake.problems.problem_files import IGNORED, NO_FEATURES, RAW
from lockstep.intake.problems.settings_reference import commented, with_defaults
from lockstep.intake.problems.source_record import record_source
from lockstep.kernel.errors import DataError, MachineError, SettingsError, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import counting, heartbeat
from lockstep.kernel.paths import CONTRACTS, PARAMS, PIPELINE, features_of
from lockstep.kernel.settings import check_problem_name, check_problems, convert, read_problems
from lockstep.kernel.strict_yaml import parse_yaml
from lockstep.learning.cross_validation import CrossValidateSettings, make_folds
from lockstep.learning.estimators import check_classes
from lockstep.reading.contract import Contract, read_contract
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.reading.source import PACKED
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import Table, column_type


class Place(NamedTuple):
    """Where a problem is added: its name, the data, the pointer that tells DVC of them, the contract, and the file for
    features of the user's own."""

    name: str
    data: Path
    pointer: Path
    contract: Path
    features: Path


def find_place(path: Path, name: str | None) -> Place:
    """Find a place for the file ``path``: where it is, if that is below data/raw, else there under the problem's name.

    Raises:
        SettingsError: the name, by default the file's, is not allowed, or something of that name is there already.
    """
    name = name or _allowed_name(path.name.split(".")[0])
    try:
        check_problem_name(name, "--name")
    except SettingsError as error:
        raise SettingsError(f"{error} For instance: --name {_allowed_name(name)}") from None
    another = f"already. Give another name: --name {name}2."
    if name in read_problems(PARAMS):
        raise SettingsError(f"{PARAMS} has a problem '{name}' {another}")
    data = RAW / path.name
    if path.resolve().parent != RAW.resolve():
        suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() in PACKED else path.suffix
        data = RAW / f"{name}{suffixes or '.csv'}"
        if data.exists() or Path(f"{data}.dvc").exists():
            raise SettingsError(f"{data} exists {another}")
    return Place(name, data, Path(f"{data}.dvc"), CONTRACTS / f"{name}.yaml", features_of(name))


def write(
    place: Place,
    path: Path,
    problem: dict[str, Any],
    contract: Contract,
    *,
    dry_run: bool,
    source: Mapping[str, Any] | None = None,
) -> str:
    """Copy the file, tell DVC of it, write the contract and the blocks; with ``dry_run`` only try whether that can be.

    Args:
        place: where.
        path: the file.
        problem, contract: what ``describe_problem`` gave.
        dry_run: whether to change nothing.
        source: of what the file was made, for the pointer; None if it is the user's own.

    Returns:
        A command, or words, that undo it all.

    Raises:
        LockstepError: also of what load, split and a fit would refuse; nothing is left then.
    """
    try_out(path, problem, contract)
    texts = _texts(place, f"{problem['load']['target']} of {path.name}", problem)
    if place.contract.exists():
        raise SettingsError(f"{place.contract} exists already. Remove it, or give another name: --name {place.name}2.")
    if dry_run:
        return ""
    created = [file for file in (place.pointer, place.contract, place.features, place.data) if not file.exists()]
    undo = _undo(place, created)
    with undone_on_error((PARAMS, PIPELINE, IGNORED), created=created):
        if place.data.resolve() != path.resolve():
            _copy(path, place.data)
        with heartbeat(f"putting {place.data} into DVC's cache"):
            dvc_add(place.data)
            if source is not None:
                record_source(place.pointer, place.data, source)
        with Outputs() as outputs:
            outputs.write(place.contract, partial(write_contract, contract))
            if place.features in created:  # else it was written for this problem before it was added
                texts[place.features] = NO_FEATURES.format(name=place.name)
            for file, text in texts.items():
                outputs.text(file, text)
        if read_contract(place.contract) != contract:
            raise MachineError(
                f"{place.contract} was not written as it was meant. Report it, with your table's header."
            )
    return undo


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.touch()
    size = path.stat().st_size / 1e6
    with heartbeat(f"copying {path}"), counting(size, "MB", ask=lambda: copy.stat().st_size / 1e6):
        shutil.copyfile(path, copy)


def describe_problem(facts: TableFacts, choices: Choices, data: Path) -> tuple[dict[str, Any], Contract]:
    """(the block of params.yaml, the contract) of a problem whose file will be ``data``.

    Raises:
        DataError: what was decided leaves nothing to learn from, or is not to be written.
    """
    _check_features(facts, choices)
    problem = problem_block(choices, data)
    form = convert(problem["load"], LoadSettings, "load").form
    frame = facts.frame.drop(columns=choices.drop.value)
    levels = {name: levels for name, levels in facts.levels.items() if name in frame and name != choices.target.value}
    return problem, infer_contract(frame, facts.numbers, form, facts.dates, levels)


def try_out(path: Path, problem: dict[str, Any], contract: Contract) -> None:
    """Raise what load, split and a fit would, LockstepError. The file is read once more: whoever has a large table of
    it should let go of it before."""
    table = load_file(path, convert(problem["load"], LoadSettings, "load"), contract).table
    with heartbeat(f"trying what comes next on {len(table)} rows"):
        split = convert(problem["split"], SplitSettings, "split")
        table = _without_features(table, split)
        _try_stages(table, split, problem["cross_validate"])


def _without_features(table: Table, settings: SplitSettings) -> Table:
    """The columns that rows are cut by, and one feature, which stands for all: where rows belong does not depend on
    them, and a large table takes memory."""
    cut_by = [name for name in (table.target, table.weight, settings.group, settings.time) if name in table.frame]
    features = [str(name) for name in table.frame if name not in cut_by]
    return replace(table, frame=table.frame[[*dict.fromkeys(cut_by), *features[:1]]])


def _check_features(facts: TableFacts, choices: Choices) -> None:
    """Raise DataError if what was decided leaves no column to learn from; what the user drops, ``load_file`` judges."""
    drop, target, roles = choices.drop, choices.target.value, choices.roles
    beside = [str(name) for name in facts.frame if name != target]
    unseen = (choices.group.value, choices.time.value, choices.weight.value)
    others = [name for name in beside if name not in unseen]
    what = f"{facts.path} has no feature: "
    if beside and not others:
        if any(part.key == "time_is_feature" for part in choices.parts):
            return
        taken = next(one for one in (choices.group, choices.time, choices.weight) if one.value is not None)
        only = f"beside the target '{target}' there is only what the rows are split or weighted by. Add columns to the "
        end = "." if taken.is_given else " ''."
        how = "leave out " if taken.is_given else "give "
        raise DataError(f"{what}{only}file; or, to learn from '{taken.value}', {how}", taken.setting, end)
    if drop.is_given or set(others) - set(drop.value):
        return
    why = {name: facts.unneeded.get(name) or ", ".join(roles.of(name)) for name in others}
    reasons = some([f"'{name}' ({reason})" for name, reason in why.items()], 10)
    texts = [f"'{name}'" for name in others if name in roles.identifiers and column_type(facts.frame[name]) == "text"]
    dates = [name for name in others if name in roles.text_dates]
    if dates:
        flag = f"--dates {shlex.quote(f'{dates[0]}=FORMAT')}"
        what_it_is = f"{some(map(repr, dates))} holds dates, say how they are written: {flag}, such as %d/%m/%Y"
        remedy = f"If {what_it_is}. If it is a category, "
    elif texts:
        remedy = (
            f"A text that differs in nearly every row tells a model nothing: put columns of what is in {some(texts)} "
            "into the file, such as its length, or whether it has a certain word. Or, if it is a category, "
        )
    else:
        remedy = "Add columns to the file. Or, if that is no reason, "
    keep = f"{'them' if len(others) > 1 else 'it'}: give "
    left_out = f"each column beside the target '{target}' is left out: {reasons}. {remedy}keep {keep}"
    raise DataError(what + left_out, drop.setting, " without a column.")


def _try_stages(table: Table, split: SplitSettings, cross_validate: dict[str, Any]) -> None:
    """Raise what the stages behind load would: split, and a fit that finds rows of one class only."""
    cut = convert(cross_validate, CrossValidateSettings, "cross_validate")
    with counting(3 + cut.folds * cut.repeats, "steps") as progress:
        train = split_table(table, split).train
        progress.advance()
        folds = make_folds(train, cut)
        progress.advance()
        if train.task == "classification":
            check_classes(train, "the training rows")
        progress.advance()
        labels = replace(train, frame=train.frame[[train.target]])
        for fitted_on, _ in folds:
            if train.task == "classification":
                check_classes(labels.rows(fitted_on), f"the {len(fitted_on)} training rows that a fold is fitted on")
            progress.advance()


def _texts(place: Place, about: str, problem: dict[str, Any]) -> dict[Path, str]:
    """The files that get a block, as they will be."""
    train = f"${{problems.{place.name}.train."
    artifact = f"models/{place.name}/{train}model}}_{train}kind}}_v{train}version}}.joblib"
    model = {"path": artifact, "type": "model", "desc": about.replace("${", r"\${")}  # no setting's name for DVC
    whole = with_defaults(problem)
    params = with_entry(PARAMS.read_text(encoding="utf-8"), PARAMS, "problems", place.name, whole, commented(whole))
    check_problems(parse_yaml(params.encode(), PARAMS), PARAMS)
    pipeline = with_entry(PIPELINE.read_text(encoding="utf-8"), PIPELINE, "artifacts", place.name, model)
    return {PARAMS: params, PIPELINE: pipeline}


def _allowed_name(text: str) -> str:
    """A problem name as like ``text`` as is allowed."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
    allowed = name[:1].isalpha() and name.lower() != "index"
    return (name if allowed else f"data_{name}")[:64].strip("_-")


def _undo(place: Place, created: list[Path]) -> str:
    """What takes back that the problem is added; to be called before, to see what other changes git would take back."""
    remove, changed = shlex.join(["rm", *map(str, created)]), [PARAMS, PIPELINE, IGNORED]
    if as_committed(changed).issuperset(changed):
        return f"{shlex.join(['git', 'checkout', *map(str, changed)])} && {remove}"
    if place.data in created:
        return f"python -m lockstep remove {place.name} --yes"
    # That would remove the user's own file, too.
    places = [f"problems.{place.name} in {PARAMS}", f"artifacts.{place.name} in {PIPELINE}"]
    places += [f"/{path.stem} in {IGNORED}" for path in created if path.suffix == ".dvc"]
    return f"delete {', '.join(places)} by hand ('git checkout' would lose your other changes there), then: {remove}"
