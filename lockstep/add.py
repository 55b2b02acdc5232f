"""``python -m lockstep add customers.csv``: make a table of yours a problem of this repository.

Looks at the file, says what it found and what it chose, then copies the file below data/raw, has DVC track it, writes
its data contract, and adds the problem to params.yaml and its model to dvc.yaml.
"""

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from lockstep.columns import Format, typed_frame
from lockstep.contract import infer_contract, write_contract
from lockstep.csvfile import Dialect, read_csv
from lockstep.detection import Columns, detect_csv, guess_target, guess_task, inspect_columns
from lockstep.errors import DataError, MachineError, SettingsError, some
from lockstep.estimators import KINDS, TrainSettings, build_estimator
from lockstep.files import Outputs
from lockstep.frames import normalised_frame, read_parquet
from lockstep.pipeline import check_loads
from lockstep.profile import class_counts, column_type
from lockstep.settings import check_problem_name, read_problems, read_yaml
from lockstep.source import PACKED, check_file
from lockstep.table import Task

RAW, CONTRACTS = Path("data/raw"), Path("data/contracts")
PARAMS, PIPELINE = Path("params.yaml"), Path("dvc.yaml")
MANY_ROWS = 5_000
"""Tables of so many rows get histogram boosting, which is quicker there; smaller ones a random forest."""
RARE = 0.1
"""Classes below this share are said to be rare."""


class Found(NamedTuple):
    """What add knows of a file."""

    frame: pd.DataFrame
    written: dict[str, Any]
    notes: list[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Add the problem, or with --dry-run say what would be done. Raises LockstepError; then nothing was changed."""
    args = _parser().parse_args(argv)
    path: Path = args.path
    check_file(path)
    name = args.name or re.sub(r"[^A-Za-z0-9_-]+", "_", path.name.split(".")[0]).strip("_-")
    check_problem_name(name, "--name")
    if name in read_problems(PARAMS):
        raise SettingsError(f"{PARAMS} has a problem '{name}' already. Give another name: --name {name}2.")
    destination = _destination(path, name)
    found = _read(path, args)
    target, why_target = (args.target, "--target") if args.target else guess_target(found.frame)
    if target not in found.frame:
        raise DataError(f"{path} has no column '{target}'. It has: {some(list(map(str, found.frame)), 20)}.")
    task, why_task = (args.task, "--task") if args.task else guess_task(found.frame[target])
    columns = inspect_columns(found.frame, target, task)
    drop = args.drop if args.drop is not None else [*columns.identifiers, *columns.leaks]
    missing = [column for column in drop if column not in found.frame]
    if missing:
        raise DataError(
            f"--drop: {path} has no column '{missing[0]}'. It has: {some(list(map(str, found.frame)), 20)}."
        )
    group = args.group or (columns.repeating[0] if columns.repeating and not args.time else None)
    drop = [column for column in drop if column not in (group, args.time)]
    for flag in ("group", "time"):
        column = getattr(args, flag)
        if column is not None and (column not in found.frame or column == target):
            raise DataError(
                f"--{flag}: '{column}' is no column beside the target. It has: {some(list(map(str, found.frame)), 20)}."
            )
    model = args.model or ("hist_gradient_boosting" if len(found.frame) >= MANY_ROWS else "random_forest")
    _tell(path, found, columns, target, why_target, task, why_task, drop, group, model)
    shares = (
        found.frame[target].value_counts(normalize=True) if task == "classification" else pd.Series([], dtype=float)
    )
    rarest = float(shares.min()) if len(shares) == 2 else 1.0
    weight = "balanced" if rarest < RARE else None
    if weight:
        print(f"Class weight: balanced, since one class is rare ({rarest:.1%}): train.class_weight in {PARAMS}")
    build_estimator(TrainSettings(model=model, kind=KINDS[task], version=1), task)  # type: ignore[arg-type]
    problem = _problem(destination, found, target, task, drop, group, args.time, model, weight)
    check_loads(path, problem["load"])
    train = f"${{problems.{name}.train."
    artifact = f"models/{name}/{train}model}}_{train}kind}}_v{train}version}}.joblib"
    text = _inserted(PARAMS, "problems", name, problem)
    pipeline = _inserted(
        PIPELINE, "artifacts", name, {"path": artifact, "type": "model", "desc": f"{target} of {path.name}"}
    )
    contract = CONTRACTS / f"{name}.yaml"
    if contract.exists():
        raise SettingsError(f"{contract} exists already. Remove it, or give another name: --name {name}2.")
    if args.dry_run:
        print(f"\nWould write {destination}, {destination}.dvc, {contract}, and add to {PARAMS}:\n")
        print(yaml.safe_dump({name: problem}, sort_keys=False, allow_unicode=True), end="")
        print("\nNothing was changed.")
        return 0
    with _undone_on_error([destination, Path(f"{destination}.dvc"), contract]):
        if destination.resolve() != path.resolve():
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, destination)
        _dvc_add(destination)
        with Outputs() as outputs:
            outputs.write(contract, partial(write_contract, infer_contract(found.frame.drop(columns=drop))))
            for file, content in ((PARAMS, text), (PIPELINE, pipeline)):
                outputs.write(file, partial(Path.write_text, data=content, encoding="utf-8", newline="\n"))
    print(f"\nAdded: {destination}.dvc, {contract}, and '{name}' in {PARAMS} and {PIPELINE}.")
    print(f"Next:  dvc repro report@{name} && python -m lockstep summary")
    print(f"Undo:  git checkout {PARAMS} {PIPELINE} {RAW / '.gitignore'} && rm {destination}.dvc {contract}"
          + ("" if destination.resolve() == path.resolve() else f" {destination}"))  # fmt: skip
    return 0


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
    parser.add_argument("--dry-run", action="store_true", help="show everything, change nothing")
    return parser


def _character(text: str) -> str:
    """A delimiter, for argparse; ``\\t`` is a tab."""
    character = text.replace("\\t", "\t")
    if len(character) != 1 or not character.isascii() or character in '\r\n"':
        raise argparse.ArgumentTypeError(f"{text!r} is not one ASCII character such as ; or | or \\t")
    return character


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


def _read(path: Path, args: argparse.Namespace) -> Found:
    if path.suffix.lower() == ".parquet":
        return Found(normalised_frame(read_parquet(path)), {}, ["a parquet file"])
    if args.delimiter or args.encoding:
        dialect = Dialect(args.delimiter or ",", encoding=args.encoding or "utf-8")
        text, form, notes = read_csv(path, dialect), Format(), list[str]()
        if text.cells.num_columns < 2:
            raise DataError(f"{path} has one column only with that delimiter: there is nothing to predict from.")
    else:
        dialect, form, text, notes = detect_csv(path)
    form = form._replace(decimal=args.decimal or form.decimal)
    written = {
        key: value
        for key, value, default in (
            ("delimiter", dialect.delimiter, ","),
            ("encoding", dialect.encoding, "utf-8"),
            ("decimal", form.decimal, "."),
            ("thousands", form.thousands, ""),
        )
        if value != default
    }
    notes = [f"delimiter {dialect.delimiter!r}, encoding {dialect.encoding}, decimal mark {form.decimal!r}", *notes]
    return Found(typed_frame(text, str(path), form).frame, written, notes)


def _tell(
    path: Path, found: Found, columns: Columns, target: str, why_target: str, task: Task, why_task: str,
    drop: list[str], group: str | None, model: str,
) -> None:  # fmt: skip
    frame = found.frame
    print(f"{path}: {len(frame):,} rows, {frame.shape[1]} columns; {'; '.join(found.notes)}")
    for name in map(str, frame):
        column = frame[name]
        facts = [column_type(column), f"{column.nunique():,} distinct"]
        if column.isna().any():
            facts.append(f"{int(column.isna().sum()):,} missing")
        for what, names in (
            ("numbers the rows: dropped", columns.identifiers),
            ("constant", columns.constants),
            ("dates as text", columns.dates),
            ("gives the target away exactly: dropped", columns.leaks),
            ("an identifier that repeats: rows of one value stay together", [group]),
            ("the target", [target]),
        ):
            if name in names:
                facts.append(what)
        print(f"  {name}: {', '.join(facts)}")
    duplicates = int(frame.duplicated().sum())
    print(f"Duplicate rows: {duplicates:,}")
    print(f"Target: '{target}', since {why_target}" + ("" if why_target == "--target" else " (--target COLUMN)"))
    print(f"Task: {task}, since {why_task}" + ("" if why_task == "--task" else f" (--task {'|'.join(KINDS)})"))
    if task == "classification":
        shares = {
            name: count / len(frame) for name, count in class_counts(frame[target].dropna().astype(object)).items()
        }
        print(f"Classes: {some([f'{name} {share:.1%}' for name, share in shares.items()], 10)}")
    for name, correlation in columns.suspects:
        print(
            f"WARNING '{name}' correlates {correlation:.3f} with the target: if it is known only afterwards, --drop it"
        )
    print(f"Dropped: {some(drop, 20) or 'nothing'} (--drop COLUMN ...)")
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
    block = yaml.safe_dump({name: value}, sort_keys=False, allow_unicode=True, width=110)
    # Written as DVC writes it, so that an experiment changes nothing else: gaps instead of null.
    block = re.sub(r": null$", ":", block, flags=re.MULTILINE)
    indented = "".join(f"  {line}" for line in block.splitlines(keepends=True))
    head = "".join(lines[:end])
    result = head + ("" if head.endswith("\n") else "\n") + "\n" + indented + "".join(lines[end:])
    after = yaml.safe_load(result)
    if {**before, section: {**before[section], name: value}} != after:
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
    """Remove what the block has created, and nothing that was there before, if it fails."""
    new = [path for path in created if not path.exists()]
    saved = {file: file.read_bytes() for file in (PARAMS, PIPELINE, RAW / ".gitignore") if file.exists()}
    try:
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
        for file, content in saved.items():
            file.write_bytes(content)
        raise
