"""``python -m lockstep add customers.csv``: make a table of yours a problem of this repository.

The table may be a CSV or parquet file; or a sheet of a workbook, JSON lines, several CSV files of one layout, or the
result of a query (--sql URL --query FILE), of which a snapshot is made: one file, which says what it was made of.

Looks at the file, says what it found and what it chose, then copies the file below data/raw, has DVC track it, writes
its data contract, and adds the problem to params.yaml and its model to dvc.yaml.
"""

import argparse
import logging
import shlex
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

from lockstep.commands import command_parser
from lockstep.commands.new_rows import number_of_lines
from lockstep.comparing.wrapping import for_stream
from lockstep.intake.choosing.setting_choices import FLAGS, Choice, Choices, flag_of, make_choices
from lockstep.intake.detecting.date_columns import EPOCHS, DateForm
from lockstep.intake.detecting.file_format import TableFacts, look
from lockstep.intake.detecting.formatted_numbers import NumberForm
from lockstep.intake.detecting.wording import shown_name
from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.intake.problems.adding import describe_problem, find_place, write
from lockstep.intake.sources.snapshots import Request, Snapshot, take_snapshot
from lockstep.kernel.errors import DataError, Message, Setting, SettingsError, plural, some
from lockstep.kernel.locks import exclusive_command
from lockstep.kernel.log import above_bar, heartbeat, logger
from lockstep.kernel.paths import PARAMS, PIPELINE
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_types import KINDS
from lockstep.reading.column_warnings import ReaderWarning
from lockstep.reading.date_formats import ISO
from lockstep.reading.encodings import NO_CHARACTER_SET, is_character_set
from lockstep.reading.quirks import QUIRKS
from lockstep.tables.statistics import n_distinct, n_duplicate_rows
from lockstep.tables.table import class_counts, column_type

_MANY_COLUMNS = 20
"""Of a table with more columns, those that are alike share a line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Add the problem, or with --dry-run say what would be done. Raises LockstepError; then nothing was changed."""
    args = _parser().parse_intermixed_args(argv)  # else no file, where FILE stands behind a flag
    handler = _WarningPrinter()
    logger.addHandler(handler)
    try:
        with exclusive_command("add"), tempfile.TemporaryDirectory(prefix="lockstep.") as folder:
            return _add(args, handler, Path(folder), sys.argv[2:] if argv is None else argv)
    except (DataError, SettingsError) as error:
        raise type(error)(handler.shown(error.parts)) from None
    finally:
        logger.removeHandler(handler)
        handler.flush()


def _add(args: argparse.Namespace, reader: "_WarningPrinter", folder: Path, typed: Sequence[str]) -> int:
    given = {setting: getattr(args, flag_of(setting).strip("-").replace("-", "_"), None) for setting in FLAGS}
    given = {setting: value for setting, value in given.items() if value is not None}
    given |= {setting: None for setting in ("split.group", "split.time") if given.get(setting) == ""}
    request = Request(args.files, args.sheet, args.file_column, args.sql, args.query)
    table = take_snapshot(request, given, args.text or (), folder)
    snapshot = table if isinstance(table, Snapshot) else None
    path = table.path if isinstance(table, Snapshot) else table
    if snapshot is not None:
        reader.names[str(path)] = snapshot.name
        given = {setting: value for setting, value in given.items() if setting not in snapshot.used}
    reader.command = _again(path, snapshot, args, typed)
    place = find_place(path, args.name)
    facts = look(path, given)
    reader.doubts = facts.doubts
    with heartbeat(f"deciding by {len(facts.frame)} rows"):
        choices = make_choices(facts, given)
    reader.target = choices.target.value
    reader.flush()
    _tell(facts, choices, snapshot)
    source = None if snapshot is None else snapshot.record
    problem, contract = describe_problem(facts, choices, place.data)
    warned = bool(choices.warnings)
    del facts, choices  # and with them the table, of which there need not be two in memory
    undo = write(place, path, problem, contract, dry_run=args.dry_run, source=source)
    if args.dry_run:
        _say(
            f"\nWould write {place.data}, {place.pointer}, {place.contract}, {place.features}, and add to {PARAMS}, "
            "with the other settings' defaults and what each means:\n"
        )
        print(dump_yaml({place.name: problem}), end="")
        print("\nNothing was changed.")
        return 0
    _say(
        f"\nAdded: {place.pointer}, {place.contract}, {place.features}, and '{place.name}' in {PARAMS} and {PIPELINE}."
    )
    print(f"Next:  dvc repro report@{place.name} && python -m lockstep summary {place.name}")
    print(f"Undo:  {undo}")
    if warned:
        print("To follow a WARNING above, undo it first, and add the table anew.")
    return 0


def _again(path: Path, snapshot: Snapshot | None, args: argparse.Namespace, typed: Sequence[str]) -> tuple[str, str]:
    """(the command that messages give for the table at ``path``, the same as it was typed, for the flags to come)."""
    words, chosen = list(map(str, typed)), ("--target", "--task")
    for flag in chosen:  # which messages give
        while flag in words:
            del words[words.index(flag) : words.index(flag) + 2]
    words = [word for word in words if not word.startswith(tuple(f"{flag}=" for flag in chosen))]
    if snapshot is not None and args.sql is not None:  # it may hold a password
        words = [word.replace(args.sql, snapshot.record["sql"]) for word in words]
    if snapshot is not None and "sheet" in snapshot.record and args.sheet is None:
        words += ["--sheet", snapshot.record["sheet"]]
    add = ["python", "-m", "lockstep", "add"]
    return shlex.join([*add, str(path)]), shlex.join([*add, *words])


class _WarningPrinter(logging.Handler):
    """Prints what the reader warns of: once, though the file is read twice, with the flags of this command, and without
    what ``make_choices`` says itself, and knows more of.

    Attributes:
        doubts: the columns of which ``make_choices`` says why they are no numbers.
        target: the target: words for a missing value in it are no values, and it is refused with them.
        names: {path of a snapshot: what it is called, which is what it was made of}.
        command: the command for the table in messages, and how it is to be typed: with the flags of this one.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.held: dict[tuple[str, str], str] = {}
        self.printed: set[tuple[str, str]] = set()
        self.doubts: Collection[str] = ()
        self.target = ""
        self.names: dict[str, str] = {}
        self.command = "", ""

    def emit(self, record: logging.LogRecord) -> None:
        found = record.msg
        if isinstance(found, ReaderWarning):
            self.held[found.column, found.warning.kind] = self.shown(found.parts)
        else:
            parts = found.parts if isinstance(found, Message) else [record.getMessage()]
            with above_bar():
                print(for_stream(f"WARNING {self.shown(parts)}", sys.stderr), file=sys.stderr)

    def flush(self) -> None:
        """Print what was held back until it is known what ``make_choices`` says."""
        for (column, kind), message in self.held.items():
            is_said = column in self.doubts and kind in ("formatted numbers", "mostly numbers")
            is_said |= column == self.target and kind == "missing words"
            if not is_said and (column, kind) not in self.printed:
                self.printed.add((column, kind))
                print(for_stream(f"WARNING {message}", sys.stderr), file=sys.stderr)
        self.held.clear()

    def shown(self, message: Sequence[str]) -> str:
        """A message with the flags of this command."""
        text = "".join(flag_of(part) if isinstance(part, Setting) else part for part in message)
        short, typed = self.command
        text = text.replace(f"{short} ", f"{typed} ") if short else text
        for path, name in self.names.items():
            text = text.replace(path, name)
        return text


def _tell(facts: TableFacts, choices: Choices, snapshot: Snapshot | None) -> None:
    frame, target = facts.frame, choices.target.value
    name = facts.path if snapshot is None else f"{snapshot.name}, as {facts.path.name}"
    _say(f"{name}: {plural(len(frame), 'row')}, {plural(frame.shape[1], 'column')}; {facts.about}")
    for note in snapshot.notes if snapshot else ():
        _say(f"  {note}")
    _tell_choice("Target", choices.target, f"'{target}'")
    _tell_choice("Task", choices.task)
    if choices.task.value == "classification":
        counts = class_counts(frame[target][choices.has_target].astype(object))
        total = sum(counts.values())
        _say(f"Classes: {some([f'{name} {count / total:.1%}' for name, count in counts.items()], 10)}")
    _tell_choice("Dropped", choices.drop, some(map(shown_name, choices.drop.value), 20) or "nothing")
    target_rows, parts = choices.target_rows, choices.parts
    fit = choices.model, choices.calibrate
    ours = choices.group, choices.time, choices.weight, *fit, choices.positive
    for choice in *target_rows, *parts, *ours:
        if choice.value is not None:
            _tell_choice(choice.key.replace("_", " ").capitalize(), choice)
    if texts := choices.text_columns.value:
        _tell_choice("Free text", choices.text_columns, some(map(shown_name, texts), 20))
    for choice in choices.file_format:
        if choice.reason:
            value = choice.value
            shown = some(value, 10) if isinstance(value, list | tuple) else repr(value)
            _tell_choice(choice.key.replace("_", " ").capitalize(), choice, shown)
    for name, number in facts.numbers.items():
        _say(f"{shown_name(name)}: {_written(number)} (--text {shlex.quote(name)})")
    for name, dates in facts.dates.items():
        _say(f"{shown_name(name)}: {_written_dates(dates)} (--dates {shlex.quote(f'{name}=FORMAT')}, --text ...)")
    _tell_columns(facts, choices)
    without = ", by the columns that are not dropped" if choices.drop.value else ""
    _say(f"Duplicate rows: {n_duplicate_rows(frame.drop(columns=choices.drop.value)):,}{without}")
    for warning in choices.warnings:
        _say(f"WARNING {warning}")
    for proposal in choices.proposals:
        _say(f"Consider: {proposal}")


def _tell_columns(facts: TableFacts, choices: Choices) -> None:
    """Print what is in each column; where there are many, those that are alike together."""
    frame, target = facts.frame, choices.target.value
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in map(str, frame):
        column = frame[name]
        kind, missing = column_type(column), int(column.isna().sum())
        words = [facts.unneeded[name]] if name in facts.unneeded else choices.roles.of(name)
        words += ["rows of one value stay together"] if name == choices.group.value else []
        words += ["the target"] if name == target else []
        words += [f"in the order {_listed(facts.levels[name])}"] if name in facts.levels and name != target else []
        words += ["the weights"] if name == choices.weight.value else []
        more = "".join(f", {word}" for word in words) + (": dropped" if name in choices.drop.value else "")
        counts = f", {n_distinct(column):,} distinct" + (f", {missing:,} missing" if missing else "")
        alike = f"{kind}{', some missing' if missing else ''}{more}" if frame.shape[1] > _MANY_COLUMNS else name
        groups.setdefault(alike, []).append((name, f"{kind}{counts}{more}"))
    for alike, columns in groups.items():
        if len(columns) == 1:
            _say(f"  {shown_name(columns[0][0])}: {columns[0][1]}")
        else:
            _say(f"  {len(columns)} columns, {alike}: {some([shown_name(name) for name, _ in columns], 10)}")


def _listed(levels: Sequence[str]) -> str:
    """Levels in their order, some of them where they are many."""
    shown = [shown_name(level) for level in levels]
    return " < ".join(shown if len(shown) <= 8 else [*shown[:4], "...", *shown[-3:]])


def _written(found: NumberForm) -> str:
    """In words, how a column is read."""
    marks = found.form.marks
    words = [f"numbers written as {found.example}"] + ([f"in {marks.unit}"] if marks.unit else [])
    words += ["in groups by Indian custom"] if marks.groups == "indian" else []
    decimal, thousands = found.form.decimal, found.form.thousands
    if thousands:
        tells = found.example.count(thousands) > 1 or decimal in found.example.partition(thousands)[2]
        # One late cell is enough for a mark that the example does not show.
        words += [] if tells else [f"{thousands!r} between thousands"]
    elif decimal != ".":
        words.append(f"{decimal!r} before decimals")
    words += [f"negative ones by {marks.negative}"] if marks.negative != "minus" else []
    words += ["k, M, B are thousands, millions, billions"] if marks.magnitudes else []
    words += [f"{word!r} is missing ({plural(count, 'cell')})" for word, count in found.words.items()]
    if found.strays:
        strays = [repr(stray)[:40] for stray in found.strays]
        words.append(f"other cells are missing ({sum(found.strays.values()):,}: {some(strays)})")
    return ", ".join(words)


def _written_dates(found: DateForm) -> str:
    """In words, how a column of dates is read."""
    pattern, epoch = found.form.dates, found.form.marks.epoch
    how = f"counted in {epoch}" if epoch else f"written as {'ISO 8601 says' if pattern == ISO else pattern}"
    words = [f"dates {how}: {found.example} is {found.read}"]
    words += ["times with an offset are converted to UTC"] if found.converted else []
    words += [f"{word!r} is missing ({plural(count, 'cell')})" for word, count in found.words.items()]
    return ", ".join(words)


def _tell_choice(label: str, choice: Choice[Any], shown: str | None = None) -> None:
    """Print a choice with its reason, and the flag that changes it unless that is the reason."""
    reason = f", since {choice.reason}" if choice.reason else ""
    flag = "" if choice.is_given else f" ({FLAGS.get(choice.setting, f'{choice.setting} in {PARAMS}')})"
    _say(f"{label}: {shown or choice.value}{reason}{flag}")


def _say(text: str) -> None:
    print(for_stream(text, sys.stdout))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("add", __doc__)
    add = parser.add_argument
    add(
        "files",
        metavar="FILE",
        nargs="*",
        help="a CSV file (.csv, also .gz, .zst, .zip), or several of one layout ('churn/*.csv'); a parquet file "
        "(.parquet), an Excel workbook (.xlsx) or JSON lines (.jsonl, .ndjson)",
    )
    add("--sheet", metavar="NAME", help="the sheet of a workbook (default: the one that is not empty)")
    add("--file-column", metavar="NAME", help="of several files: a column, so named, with each row's file")
    add("--sql", metavar="URL", help="a database such as sqlite:///shop.db, instead of FILE")
    add("--query", type=Path, metavar="FILE", help="a file with the SELECT that gives the table")
    add("--name", help="the problem's name (default: the file's)")
    add("--target", metavar="COLUMN", help="the column to predict")
    add("--task", choices=list(KINDS), help="classification or regression")
    add("--drop", metavar="COLUMN", nargs="*", help="columns to leave out, instead of those proposed")
    add("--group", metavar="COLUMN", help="a column whose rows stay together when rows are split; '' for none")
    add("--time", metavar="COLUMN", help="a column that orders the rows; the last are the test; '' for none")
    add("--test-size", type=float, metavar="SHARE", help="share of the rows, or groups, for the test (default: 0.2)")
    add("--stratify", type=_or_auto, metavar="auto|true|false", help="keep the classes' shares (default: auto)")
    add("--folds", type=int, metavar="N", help="parts for the cross-validation (default: 5)")
    add("--model", metavar="TYPE", help="the model type (default: by the number of rows)")
    methods = get_args(get_type_hints(TrainSettings)["calibrate"])
    add("--calibrate", choices=methods, help="how probabilities are calibrated (default: by the model and the rows)")
    add("--delimiter", type=_character, metavar="CHARACTER", help="the character between cells")
    add("--encoding", type=_encoding, metavar="NAME", help="for instance utf-8, cp1252, utf-16")
    add("--decimal", choices=[".", ","], help="the decimal mark")
    add("--thousands", choices=["", ",", ".", " ", "'"], help="the mark between groups of three digits")
    add("--quote", type=_mark, metavar="CHARACTER", help="the character around cells; '' for none")
    add("--escape", type=_mark, metavar="CHARACTER", help="the character that escapes the next one")
    add("--skip-lines", type=number_of_lines, metavar="N", help="lines above the header")
    add("--skip-footer-lines", type=number_of_lines, metavar="N", help="lines below the last row")
    add("--quirks", choices=QUIRKS, metavar="QUIRK", nargs="*", help=f"ways of writing: {', '.join(QUIRKS)}")
    add("--missing", metavar="WORD", nargs="*", help="words for a missing value, instead of NA, None, ?, ...")
    add("--missing-texts", metavar="WORD", nargs="*", help="words for a missing value in columns of texts")
    add(
        "--missing-target", choices=["error", "drop"], help="rows without a target: refuse the table, or leave them out"
    )
    add(
        "--rare-classes",
        choices=["keep", "drop", "merge"],
        help="rows of rare classes: leave out, or merge the classes",
    )
    add("--class-rows", type=int, metavar="N", help="classes of fewer rows are rare (default: 2)")
    add("--positive", metavar="CLASS", help="the positive one of two classes (default: the last in sorted order)")
    add("--weight", metavar="COLUMN", help="a column that says how much each row counts (default: all alike)")
    add("--numbers", metavar="COLUMN", nargs="*", help="columns of numbers: what is none in them is missing")
    add("--text", metavar="COLUMN", nargs="*", help="columns that stay texts, though they look like numbers")
    add(
        "--dates",
        type=_dates,
        metavar="COLUMN=FORMAT",
        nargs="*",
        help=f"columns of dates: iso, a pattern such as %%d.%%m.%%Y, {', '.join(EPOCHS)}",
    )
    add("--dry-run", action="store_true", help="show everything, change nothing")
    return parser


def _dates(text: str) -> tuple[str, str]:
    """A column and the format of its dates, for argparse."""
    name, mark, pattern = text.rpartition("=")
    if not (name and mark and pattern):
        raise argparse.ArgumentTypeError(f"{text!r} is no column and its format, such as birthday=%d.%m.%Y")
    return name, pattern


def _character(text: str) -> str:
    """A delimiter, for argparse; ``\\t`` is a tab."""
    character = text.replace("\\t", "\t")
    if len(character) != 1 or not character.isascii() or character in '\r\n\0"':
        raise argparse.ArgumentTypeError(f"{text!r} is not one ASCII character such as ; or | or \\t")
    return character


def _mark(text: str) -> str:
    """A quote or an escape character, for argparse; an empty text for none."""
    return text if text in ("", '"') else _character(text)


def _or_auto(text: str) -> bool | str:
    """A switch that may be left to decide itself, for argparse."""
    values: dict[str, bool | str] = {"auto": "auto", "true": True, "false": False}
    if text not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(values)}")
    return values[text]


def _encoding(text: str) -> str:
    if not is_character_set(text):
        raise argparse.ArgumentTypeError(f"{text!r} is {NO_CHARACTER_SET}")
    return text
