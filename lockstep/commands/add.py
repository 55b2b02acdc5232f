"""``python -m lockstep add customers.csv``: make a table of yours a problem of this repository.

Looks at the file, says what it found and what it chose, then copies the file below data/raw, has DVC track it, writes
its data contract, and adds the problem to params.yaml and its model to dvc.yaml.
"""

import argparse
import contextlib
import logging
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.api import check_loads
from lockstep.intake.contract_inference import infer_contract, write_contract
from lockstep.intake.detection import (
    MAX_CLASSES,
    Columns,
    check_header,
    detect_csv,
    guess_target,
    guess_task,
    inspect_columns,
    number_in_text,
)
from lockstep.intake.yaml_text import dump_yaml
from lockstep.kernel.errors import DataError, MachineError, SettingsError, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Task, check_problem_name, check_problems, read_problems
from lockstep.kernel.strict_yaml import parse_yaml, read_yaml
from lockstep.learning.estimators import TrainSettings, build_estimator
from lockstep.learning.model_types import KINDS
from lockstep.reading.column_types import MISSING, Format, typed_frame
from lockstep.reading.contract import read_contract
from lockstep.reading.csvfile import Dialect
from lockstep.reading.dataframes import normalised_frame, read_parquet
from lockstep.reading.source import PACKED, check_file
from lockstep.splitting.data_checks import NEARLY_UNIQUE
from lockstep.tables.table import class_counts, column_type

import pandas as pd
import yaml

RAW, CONTRACTS = Path("data/raw"), Path("data/contracts")
IGNORED = RAW / ".gitignore"
PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")
MANY_ROWS = 5_000
"""Tables of so many rows get histogram boosting, which is quicker there; smaller ones a random forest."""
RARE = 0.1
"""Classes below this share are said to be rare."""
LINES = 1000
"""So many lines may be skipped at either end of a file."""
_LOAD_FLAGS = (
    *("delimiter", "encoding", "decimal", "thousands", "quote", "escape"),
    *("skip_lines", "skip_footer_lines", "missing_texts", "missing"),
)
"""The flags that are settings of the section load, but for path, task, target and drop."""
_PHRASES = {
    "take the word off load.missing": "name with --missing all words for a gap, without it",
    "set load.path to": "name",
}
"""What messages of the stage load say, and what to say of it to whom typed add; other settings are flags."""
_SETTING = re.compile(rf"(?:ModelConfig\.)?load\.({'|'.join((*_LOAD_FLAGS, 'target', 'task', 'drop'))})\b")


class Found(NamedTuple):
    """What add knows of a file."""

    frame: pd.DataFrame
    written: dict[str, Any]
    notes: list[str]
    warnings: list[str]
    missing_as: dict[str, dict[str, int]]


def main(argv: Sequence[str] | None = None) -> int:
    """Add the problem, or with --dry-run say what would be done. Raises LockstepError; then nothing was changed."""
    args = _parser().parse_args(argv)
    handler = _Warnings()
    logger.addHandler(handler)
    try:
        return _add(args)
    except (DataError, SettingsError) as error:
        raise type(error)(_with_flags(str(error))) from None
    finally:
        logger.removeHandler(handler)


class _Warnings(logging.Handler):
    """Prints what the reader warns of: once, though the file is read twice, and with the flags of this command."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.said and "is read as text, but looks like numbers" not in message:  # number_in_text
            self.said.add(message)
            print(f"WARNING {_with_flags(message)}", file=sys.stderr)


def _with_flags(message: str) -> str:
    for phrase, own in _PHRASES.items():
        message = message.replace(phrase, own)
    return _SETTING.sub(lambda found: f"--{found[1].replace('_', '-')}", message)


def _add(args: argparse.Namespace) -> int:
    path: Path = args.path
    _check_path(path)
    name = args.name or _proposed_name(path.name.split(".")[0])
    try:
        check_problem_name(name, "--name")
    except SettingsError as error:
        raise SettingsError(f"{error} For instance: --name {_proposed_name(name)}") from None
    if name in read_problems(PARAMS):
        raise SettingsError(f"{PARAMS} has a problem '{name}' already. Give another name: --name {name}2.")
    destination = _destination(path, name)
    found = _read(path, args)
    target, why_target = (args.target, "--target") if args.target else guess_target(found.frame)
    if target not in found.frame:
        raise DataError(f"{path} has no column '{target}'. It has: {_names(found.frame)}.")
    _check_task(found.frame[target], args.task)
    task, why_task = (args.task, "--task") if args.task else guess_task(found.frame[target])
    columns = inspect_columns(found.frame, target, task)
    drop = args.drop if args.drop is not None else [*columns.identifiers, *columns.leaks]
    missing = [column for column in drop if column not in found.frame]
    if missing:
        raise DataError(f"--drop: {path} has no column '{missing[0]}'. It has: {_names(found.frame)}.")
    group = args.group or (columns.repeating[0] if columns.repeating and not args.time else None)
    drop = [column for column in drop if column not in (group, args.time)]
    for flag in ("group", "time"):
        column = getattr(args, flag)
        if column is not None and (column not in found.frame or column == target):
            raise DataError(f"--{flag}: '{column}' is no column beside the target. It has: {_names(found.frame)}.")
    model = args.model or ("hist_gradient_boosting" if len(found.frame) >= MANY_ROWS else "random_forest")
    _tell(path, found, columns, target, why_target, task, why_task, drop, group, model)
    shares = (
        found.frame[target].value_counts(normalize=True) if task == "classification" else pd.Series([], dtype=float)
    )
    rarest = float(shares.min()) if len(shares) == 2 else 1.0
    weight = "balanced" if rarest < RARE else None
    if weight:
        print(f"Class weight: balanced, since one class is rare ({rarest:.1%}): train.class_weight in {PARAMS}")
    if args.missing is None and (words := _classes_that_look_like_gaps(found, target)):
        found.written["missing"] = [word for word in MISSING if word not in words]
        print(
            f"Missing: {some([repr(word) for word in words])} is a class of '{target}', as it is as frequent as one, "
            f"and no word for a gap: load.missing in {PARAMS} (--missing WORD ...)"
        )
    build_estimator(TrainSettings(model=model, kind=KINDS[task], version=1), task)  # type: ignore[arg-type]
    problem = _problem(destination, found, target, task, drop, group, args.time, model, weight)
    if reference := re.search(r"\$\{[^}]*\}?", dump_yaml(problem)):
        raise DataError(
            f"{path} has a column named with '{reference[0]}', which 'dvc exp run -S' would take for a reference to "
            f"another setting in {PARAMS}. Rename the column in the file, without '${{'."
        )
    check_loads(path, problem["load"])
    train = f"${{problems.{name}.train."
    artifact = f"models/{name}/{train}model}}_{train}kind}}_v{train}version}}.joblib"
    text = _inserted(PARAMS, "problems", name, problem)
    check_problems(parse_yaml(text.encode(), PARAMS), PARAMS)
    desc = f"{target} of {path.name}".replace("${", r"\${")  # which DVC would take for the name of a setting
    pipeline = _inserted(PIPELINE, "artifacts", name, {"path": artifact, "type": "model", "desc": desc})
    contract = CONTRACTS / f"{name}.yaml"
    if contract.exists():
        raise SettingsError(f"{contract} exists already. Remove it, or give another name: --name {name}2.")
    if args.dry_run:
        print(f"\nWould write {destination}, {destination}.dvc, {contract}, and add to {PARAMS}:\n")
        print(dump_yaml({name: problem}), end="")
        print("\nNothing was changed.")
        return 0
    pointer = Path(f"{destination}.dvc")
    created = [file for file in (pointer, contract, destination) if not file.exists()]
    undo = _undo(name, created)
    inferred = infer_contract(found.frame.drop(columns=drop))
    with _undone_on_error(created):
        if destination.resolve() != path.resolve():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, destination)
        _dvc_add(destination)
        with Outputs() as outputs:
            outputs.write(contract, partial(write_contract, inferred))
            for file, content in ((PARAMS, text), (PIPELINE, pipeline)):
                outputs.write(file, partial(Path.write_text, data=content, encoding="utf-8", newline="\n"))
        if read_contract(contract) != inferred:
            raise MachineError(f"{contract} was not written as it was meant. Report it, with your table's header.")
    print(f"\nAdded: {pointer}, {contract}, and '{name}' in {PARAMS} and {PIPELINE}.")
    print(f"Next:  dvc repro report@{name} && python -m lockstep summary")
    print(f"Undo:  {undo}")
    return 0


def _proposed_name(text: str) -> str:
    """A problem name as like ``text`` as is allowed."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
    allowed = name[:1].isalpha() and name.lower() != "index"
    return (name if allowed else f"data_{name}")[:64].strip("_-")


def _undo(name: str, created: list[Path]) -> str:
    """What takes back that the problem is added; to be called before, to see what other changes git would take back."""
    remove = shlex.join(["rm", *map(str, created)])
    changed = [PARAMS, PIPELINE, IGNORED]
    command = ["git", "status", "--porcelain", "--ignored", "--", *map(str, changed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, no shell
    if done.returncode == 0 and not done.stdout and all(file.exists() for file in changed):
        return f"{shlex.join(['git', 'checkout', *map(str, changed)])} && {remove}"
    places = [f"problems.{name} in {PARAMS}", f"artifacts.{name} in {PIPELINE}"]
    places += [f"/{path.stem} in {IGNORED}" for path in created if path.suffix == ".dvc"]
    return f"delete {', '.join(places)} by hand ('git checkout' would lose your other changes there), then: {remove}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lockstep add", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="a CSV file (.csv, also .gz, .zst, .zip) or a parquet file (.parquet)")
    parser.add_argument("--name", help="the problem's name (default: the file's)")
    parser.add_argument("--target", metavar="COLUMN", help="the column to predict")
    parser.add_argument("--task", choices=list(KINDS), help="classification or regression")
    parser.add_argument("--drop", metavar="COLUMN", nargs="*", help="columns to leave out, instead of those proposed")
    parser.add_argument("--group", metavar="COLUMN", help="a column whose rows must stay together when rows are split")
    parser.add_argument("--time", metavar="COLUMN", help="a column that orders the rows; the last are the test")
    parser.add_argument("--model", metavar="TYPE", help="the model type (default: by the number of rows)")
    parser.add_argument("--delimiter", type=_character, metavar="CHARACTER", help="the character between cells")
    parser.add_argument("--encoding", type=_encoding, metavar="NAME", help="for instance utf-8, cp1252, utf-16")
    parser.add_argument("--decimal", choices=[".", ","], help="the decimal mark")
    parser.add_argument("--thousands", choices=["", ",", ".", " ", "'"], help="the mark between groups of three digits")
    parser.add_argument("--quote", type=_mark, metavar="CHARACTER", help="the character around cells; '' for none")
    parser.add_argument("--escape", type=_mark, metavar="CHARACTER", help="the character that escapes the next one")
    parser.add_argument("--skip-lines", type=_lines, metavar="N", help="lines above the header")
    parser.add_argument("--skip-footer-lines", type=_lines, metavar="N", help="lines below the last row")
    parser.add_argument("--missing", metavar="WORD", nargs="*", help="words for a gap, instead of NA, None, ?, ...")
    parser.add_argument("--missing-texts", metavar="WORD", nargs="*", help="words for a gap in columns of texts")
    parser.add_argument("--dry-run", action="store_true", help="show everything, change nothing")
    return parser


def _character(text: str) -> str:
    """A delimiter, for argparse; ``\\t`` is a tab."""
    character = text.replace("\\t", "\t")
    if len(character) != 1 or not character.isascii() or character in '\r\n\0"':
        raise argparse.ArgumentTypeError(f"{text!r} is not one ASCII character such as ; or | or \\t")
    return character


def _mark(text: str) -> str:
    """A quote or an escape character, for argparse; an empty text for none."""
    return text if text in ("", '"') else _character(text)


def _lines(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > LINES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines from 0 to {LINES}")
    return int(text)


def _encoding(text: str) -> str:
    try:
        "".encode(text)
    except LookupError:
        raise argparse.ArgumentTypeError(f"{text!r} is no encoding that Python knows, such as cp1252") from None
    return text


def _destination(path: Path, name: str) -> Path:
    """Where the file will stand: where it is, if that is below data/raw, else there under the problem's name."""
    if path.resolve().parent == RAW.resolve():
        return RAW / path.name
    suffixes = "".join(path.suffixes[-2:]) if path.suffix.lower() in PACKED else path.suffix
    destination = RAW / f"{name}{suffixes or '.csv'}"
    if destination.exists() or Path(f"{destination}.dvc").exists():
        raise SettingsError(f"{destination} exists already. Give another name: --name {name}2.")
    return destination


def _has_spaces(column: pd.Series) -> bool:
    return column_type(column) == "text" and bool((column.str.strip() != column).where(column.notna(), False).any())


def _check_path(path: Path) -> None:
    """Raise DataError unless ``path`` is a file that may be a table."""
    if path.is_dir():
        raise DataError(f"{path} is a directory. Name the CSV or parquet file in it.")
    if not path.exists() and ":/" not in str(path):  # a URL is told more
        raise DataError(f"{path} does not exist. Name a CSV or parquet file that does.")
    check_file(path)
    try:
        with path.open("rb") as file:
            spreadsheet = file.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of Excel before 2007
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                spreadsheet = not {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return  # the reader says it
    if spreadsheet:
        raise DataError(
            f"{path} is a spreadsheet, not CSV text. Open it, save its sheet as CSV (UTF-8), and add that file."
        )


def _read(path: Path, args: argparse.Namespace) -> Found:
    given: dict[str, Any] = {name: getattr(args, name) for name in _LOAD_FLAGS if getattr(args, name) is not None}
    words: dict[str, Any] = {name: tuple(given.pop(name)) for name in ("missing", "missing_texts") if name in given}
    if path.suffix.lower() == ".parquet":
        if given:
            flag = next(iter(given)).replace("_", "-")
            raise SettingsError(f"--{flag} says how a CSV file is written, and {path} is none. Leave it out.")
        written = {name: list(value) for name, value in words.items()}
        return Found(normalised_frame(read_parquet(path)), written, ["a parquet file"], [], {})
    for pair in ("delimiter", "quote"), ("delimiter", "escape"), ("quote", "escape"), ("decimal", "thousands"):
        one, other = (given.get(name) for name in pair)
        if one and one == other:
            raise SettingsError(f"--{pair[0]} and --{pair[1]} are the same, {one!r}. Give different characters.")
    dialect, form, text, notes, warnings = detect_csv(path, **given, missing=words.get("missing", MISSING))
    form = form._replace(**words)
    defaults = Dialect()._asdict() | Format()._asdict()
    written = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in (dialect._asdict() | form._asdict()).items()
        if value != defaults[key]
    }
    notes = [f"delimiter {dialect.delimiter!r}, encoding {dialect.encoding}, decimal mark {form.decimal!r}", *notes]
    typed = typed_frame(text, str(path), form)
    check_header(typed.frame, form, path)
    return Found(typed.frame, written, notes, warnings, typed.missing_as)


def _shown(name: str) -> str:
    """A column's name, in quotes where spaces at its ends would be overlooked."""
    return name if name == name.strip() else repr(name)


def _names(frame: pd.DataFrame) -> str:
    return some([_shown(str(name)) for name in frame], 20)


def _check_task(target: pd.Series, task: Task | None) -> None:
    """Raise DataError if the target cannot be of the task, or its texts are hardly classes and no task is given."""
    kind, present = column_type(target), target.dropna()
    if kind == "number" or task == "classification" or present.empty:
        return
    number, distinct = number_in_text(target), present.nunique()
    example = str(number[0] if number else present.iloc[0])
    what = f"the target '{target.name}' is a {kind} column, with values such as {example[:40]!r}"
    remedy = f"If these are numbers, {number[1]}. " if number else ""
    instead = "Else leave" if number else "Leave"
    if task == "regression":
        raise DataError(
            f"--task regression: {what}, and a regression needs numbers. {remedy}{instead} --task out, or name "
            "another --target."
        )
    if kind == "text" and distinct > MAX_CLASSES and (number or distinct >= NEARLY_UNIQUE * len(target)):
        raise DataError(
            f"{what}, and {distinct:,} different ones in {len(target):,} rows: hardly classes. {remedy}If another "
            "column is the target, --target COLUMN; if they are classes, --task classification."
        )


def _classes_that_look_like_gaps(found: Found, target: str) -> list[str]:
    """Words such as None that are classes of a text target: as frequent as one on average, and no gaps elsewhere."""
    labels = found.frame[target].dropna()
    if column_type(labels) != "text":
        return []
    counts = labels.str.strip().value_counts()
    words = [word for word in MISSING if counts.get(word, 0) * len(counts) >= len(labels)]
    return [] if any(set(words) & set(gaps) for gaps in found.missing_as.values()) else words


def _tell(
    path: Path, found: Found, columns: Columns, target: str, why_target: str, task: Task, why_task: str,
    drop: list[str], group: str | None, model: str,
) -> None:  # fmt: skip
    frame = found.frame
    print(f"{path}: {len(frame):,} rows, {frame.shape[1]} columns; {'; '.join(found.notes)}")
    warnings = [*found.warnings]
    for name in map(str, frame):
        column = frame[name]
        if number := number_in_text(column):
            warnings.append(
                f"{name!r} is text for the model, with cells such as {number[0]!r}: if these are numbers, {number[1]} "
                "(once it is added: undo that first)"
            )
        facts = [column_type(column), f"{column.nunique():,} distinct"]
        if column.isna().any():
            facts.append(f"{int(column.isna().sum()):,} missing")
        for what, names in (
            (columns.identifiers.get(name), columns.identifiers),
            ("constant", columns.constants),
            ("dates as text", columns.dates),
            ("gives the target away exactly", columns.leaks),
            ("an identifier that repeats: rows of one value stay together", [group]),
            ("the target", [target]),
        ):
            if what and name in names:
                facts.append(what)
        print(f"  {_shown(name)}: {', '.join(facts)}{': dropped' if name in drop else ''}")
    duplicates = int(frame.duplicated().sum())
    print(f"Duplicate rows: {duplicates:,}")
    print(f"Target: '{target}', since {why_target}" + ("" if why_target == "--target" else " (--target COLUMN)"))
    print(f"Task: {task}, since {why_task}" + ("" if why_task == "--task" else f" (--task {'|'.join(KINDS)})"))
    if task == "classification":
        shares = {
            name: count / len(frame) for name, count in class_counts(frame[target].dropna().astype(object)).items()
        }
        print(f"Classes: {some([f'{name} {share:.1%}' for name, share in shares.items()], 10)}")
    warnings += [
        f"'{name}' correlates {correlation:.3f} with the target: if it is known only afterwards, --drop it"
        for name, correlation in columns.suspects
    ]
    for where, names in (
        ("the names of", [name for name in map(str, frame) if name != name.strip()]),
        ("cells of", [name for name in map(str, frame) if _has_spaces(frame[name])]),
    ):
        if names:
            warnings.append(
                f"spaces stand around {where} {some([repr(name) for name in names], 20)}, and are read as a part of "
                "them: if they mean nothing, remove them from the file first"
            )
    for warning in warnings:
        print(f"WARNING {warning}")
    print(f"Dropped: {some([_shown(name) for name in drop], 20) or 'nothing'} (--drop COLUMN ...)")
    if group:
        print(f"Rows of the same '{group}' stay together when rows are split (--group COLUMN)")
    print(f"Model: {model} (--model TYPE)")


def _problem(
    destination: Path, found: Found, target: str, task: Task, drop: list[str], group: str | None, time: str | None,
    model: str, weight: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The block of params.yaml, with the settings that most people change; the others keep their defaults."""
    load = {"path": str(destination), "task": task, "target": target, "drop": drop, **found.written}
    return {
        "load": load,
        "split": {"test_size": 0.2, "seed": 42, "group": group, "time": time},
        "preprocess": {},
        "tune": {"trials": 0, "metric": "auto", "seed": 42, "space": {}},
        "cross_validate": {"folds": 5, "repeats": 1, "seed": 42},
        "train": {
            "model": model,
            "kind": KINDS[task],
            "version": 1,
            "seed": 42,
            "class_weight": weight,
            "hyperparameters": {},
        },
        "evaluate": {"average": "macro", "seed": 42},
        "diagnose": {},
        "report": {"title": "", "intended_use": [], "limits": []},
    }


def _inserted(file: Path, section: str, name: str, value: dict[str, Any]) -> str:
    """The text of ``file`` with ``name: value`` at the end of its top-level mapping ``section``; all else as it was.

    Raises:
        SettingsError: the section is missing, or not a block that something can be added to.
    """
    before = read_yaml(file)
    text = file.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    nodes = {key.value: node for key, node in root.value} if isinstance(root, yaml.MappingNode) else {}
    node = nodes.get(section)
    if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
        raise SettingsError(f"{file} has no block '{section}:' with at least one entry to add to. Restore it from git.")
    lines = text.splitlines(keepends=True)
    end = node.end_mark.line if node.end_mark.line < len(lines) and node.end_mark.column == 0 else len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
        end -= 1  # what stands between this block and the next belongs to the next
    indented = "".join(f"  {line}" for line in dump_yaml({name: value}).splitlines(keepends=True))
    head = "".join(lines[:end])
    result = head + ("" if head.endswith("\n") else "\n") + "\n" + indented + "".join(lines[end:])
    if {**before, section: {**before[section], name: value}} != parse_yaml(result.encode(), file):
        raise SettingsError(
            f"{file} is laid out in a way that cannot be added to. Add '{name}' to '{section}' by hand."
        )
    return result


def _dvc_add(path: Path) -> None:
    command = [sys.executable, "-m", "dvc", "add", "--quiet", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - a list, no shell
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise MachineError(f"'dvc add {path}' failed: {reason}")


@contextlib.contextmanager
def _undone_on_error(created: list[Path]) -> Iterator[None]:
    """Remove ``created``, which are not there yet, and write the tracked files as they were, if the block fails."""
    saved = {file: file.read_bytes() for file in (PARAMS, PIPELINE, IGNORED) if file.exists()}
    try:
        yield
    except BaseException:
        for path in created:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        for file, content in saved.items():
            file.write_bytes(content)
        raise
