"""Finds how the numbers of a column are written that would else be text: ``$1,235.81``, ``(5)``, ``12.4 kg``, ``1.2k``;
and which words stand for a missing value among them.

A form is found only if all cells agree on one reading. Where two are possible, or a few cells are no such numbers, the
column stays text, and what is doubtful is said.
"""

import shlex
from collections.abc import Collection, Mapping
from typing import NamedTuple

from lockstep.intake.detecting.decimal_marks import (
    MARK_NAMES,
    OTHER_MARK,
    SAMPLE,
    OtherReading,
    find_evidence,
    other_reading,
)
from lockstep.intake.detecting.wording import are
from lockstep.kernel.errors import DataError, plural, some
from lockstep.kernel.log import counted
from lockstep.reading.column_types import Format, as_bool, is_in
from lockstep.reading.number_marks import BLANKS, MAGNITUDES, NO_MARKS, Marks
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

NEARLY_ALL = 0.9
"""A column is taken for one of numbers if this share of its cells are, those left out that mean a missing value."""
A_FEW = 10
"""So many cells at least must be numbers, and so many distinct ones where they could be categories, such as <=50K."""
MAX_UNLISTED_WORDS = 3
"""Words that no list has, and that recur, are taken for missing values if they are no more than these."""
MAX_UNITS = 5
"""Numbers with more units than these are taken for texts that begin with a number, such as addresses."""
_RARE = 0.01
"""What only this share of the cells shows, groups by Indian custom, say, does not decide on how all are read."""
PHONE = 9
"""Groups of digits that make cells of so many characters, all of one length, may be telephone numbers."""
SYMBOLS = (
    *("-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", ".", "..", "...", "*", "**", "#", r"\N", "?", "??"),
    *("#N/A", "#N/A N/A", "#NA", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"),
    *("1.#QNAN", "1.#IND", "-1.#IND", "-nan", "-nan(ind)"),
)
"""What only ever stands for a missing value among numbers."""
MISSING_WORDS = (
    *("unknown", "not available", "not applicable", "not reported", "not recorded", "not known", "no data", "missing"),
    *("none", "nil", "null", "na", "n/a", "n.a.", "n.a", "nan", "<na>", "n/d", "nd", "unspecified", "undefined"),
)
"""What mostly does, in any case of letters."""
_SPACES = " \t\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}"
_GROUPS = f",.'\N{RIGHT SINGLE QUOTATION MARK}{_SPACES}"
_CODES = (
    "USD|EUR|GBP|JPY|CHF|CAD|AUD|NZD|CNY|RMB|INR|PKR|LKR|BDT|NPR|HKD|SGD|KRW|TWD|THB|IDR|MYR|PHP|VND|BRL|MXN|ARS|CLP|COP"
    "|PEN|ZAR|NGN|KES|GHS|EGP|MAD|TRY|RUB|UAH|PLN|CZK|HUF|RON|BGN|SEK|NOK|DKK|ISK|ILS|AED|SAR|QAR|KWD|BHD|OMR|JOD"
)
_CURRENCY = rf"[A-Za-z]{{0,3}}\p{{Sc}}|{_CODES}|[Rr][Ss]\.?|kr\.?|zł|Kč|Fr\.?"
_HEDGE = r"[~≈≅<>≤≥±]=?|(?:[Cc]a|[Aa]pprox)\.?|[Cc]irca|[Aa]bout|[Oo]ver|[Uu]nder|[Uu]p to|\+{1,2}|\*{1,3}"
"""What says that a number is not exact, or has a remark."""
_KNOWN_UNIT = (
    rf"^(?:%|‰|{_CURRENCY}|/-|°[CFK]?|[kKMB]|[mµμnk]?[gmslL]|[cd][mlL]|t|lbs?|oz|kgs|ft|in|yds?|mi|kms?|m[23²³]|km[2²]|cm[23³]|sqft"
    r"|[kmMG]?[WVJ]|[kM]?Wh|mA|mAh|[kMG]?Hz|[kKMGTP]i?[Bb]|[hH][pP]|bhp|kW|PS|cc|CC|rpm|[kK]m/h|kmh|kph|mph|kmpl|mpg|km/kg"
    r"|h|hrs?|mins?|secs?|ms|days?|years?|yrs?|px|pt|dpi|bpm|dB|ppm|ppb|hPa|[kM]?Pa|bar|psi|mmHg|mg/dL|mmol/L|IU"
    rf"|{_HEDGE}|[A-Za-z]{{1,3}}/10+ ?[A-Za-z]{{1,5}})$"
)
"""Units that are units also where they stand right behind a whole number: 12B and 7C could be codes."""
_NUMBER = (
    rf"(?:[1-9][0-9]{{0,2}}(?:[{_GROUPS}][0-9]{{3}})+(?:[.,][0-9]+)?|(?:[1-9][0-9]?|0,[0-9]{{2}})(?:,[0-9]{{2}})*,[0-9]{{3}}(?:\.[0-9]+)?"
    r"|(?:0|[1-9][0-9]*)(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?"
)
_SIGNS = r"-+\x{2212}("
_PARTS = (
    rf"^(?P<before>[{_SIGNS}]*){BLANKS}(?P<prefix>{_CURRENCY}|{_HEDGE})?{BLANKS}(?P<within>[{_SIGNS}]*){BLANKS}"
    rf"(?P<digits>{_NUMBER})(?P<behind>[-)]*)(?P<gap>{BLANKS})"
    rf"(?P<suffix>/-|\+{{1,2}}|\*{{1,3}}|[^0-9{_SIGNS}){_GROUPS};:|=<>_#&!?*][^0-9();:|=<>]{{0,18}}?"
    rf"(?:[23²³]|/10+ ?[A-Za-z]{{1,5}})?)?{BLANKS}(?P<end>[-)]*)$"
)
"""A cell that is a number with marks, cut into its parts."""
_CODE = "^0[0-9]+$"
"""Where such a cell is among numbers, all of them are codes, such as zip codes."""
_DIGIT = r"\p{Nd}"
_SIDE = r"[^\p{L}\p{N}]{0,4}"
_AROUND = (
    rf"^{_SIDE}(?:(?:{_CURRENCY}|{_HEDGE}){_SIDE})?{_DIGIT}(?:[{_DIGIT}{_GROUPS}]{{0,30}}{_DIGIT})?"
    rf"{_SIDE}(?:{_CURRENCY}|st|nd|rd|th|\[\w{{1,3}}\])?{_SIDE}$|^\p{{L}}{{1,12}}{_SIDE}[0-9]+[.,][0-9]+{_SIDE}$"
)
"""A cell that holds one number of some kind, such as '5:' or $05.50 or 2nd or D +1.5, or one in full-width digits."""
_NOT_AROUND = rf"^(?:[0-9][0-9{_GROUPS}]*|\+[0-9 ]{{8,}})$"
"""One that is left out of these: digits and marks that may be a date or a code, and telephone numbers."""


class NumberForm(NamedTuple):
    """How a column is read.

    Attributes:
        form: how its numbers are written.
        words: {word for a missing value: how often it occurs}, besides those that are usual.
        strays: {text: how often it occurs}: what is no number and no such word; missing, because the user said so.
        example: a cell.
        decimal: the decimal mark, if a cell has it, or has the other mark between groups; else "".
    """

    form: Format
    words: dict[str, int]
    strays: dict[str, int]
    example: str
    decimal: str


class Doubt(NamedTuple):
    """Why a column of numbers stays text.

    Attributes:
        example: a cell.
        why: what is doubtful.
        remedy: what to do.
        mark: what may be a decimal mark or one between groups, if that is the doubt; else "".
    """

    example: str
    why: str
    remedy: str = ""
    mark: str = ""


def find_number_forms(
    columns: Mapping[str, pa.Array],
    usual: Format,
    *,
    numbers: Collection[str] = (),
    texts: Collection[str] = (),
    given: Collection[str] = (),
    plain: Collection[str] = (),
) -> tuple[dict[str, NumberForm], dict[str, Doubt]]:
    """Find the columns that are of numbers in another form than the usual one, and those that perhaps are.

    Args:
        columns: {name: (n_rows,) its cells, texts}.
        usual: how numbers are written in the file as a whole.
        numbers: columns that the user declares to be of numbers: what is none in them is missing.
        texts: columns that the user declares to be texts.
        given: fields of ``usual`` that the user gave.
        plain: columns of which it is known that all their cells are numbers in the usual form, or missing.

    Returns:
        ({name: how it is read}, {name: why it stays text})

    Raises:
        DataError: a column that is declared to be of numbers has not enough of one form.
    """
    others = {name: cells for name, cells in columns.items() if name not in (*texts, *plain)}
    odd = {name: cells for name, cells in others.items() if not are_usual(cells, usual)}
    held = {name: _Cells(cells, usual) for name, cells in counted(odd.items(), "columns")}
    take_words = "missing" not in given

    def find(marks: set[str]) -> dict[str, NumberForm | Doubt | None]:
        return {
            name: _find(cells, usual, marks, take_words=take_words, force=name in numbers)
            for name, cells in held.items()
            if len(cells.places)
        }

    marks = set[str]()
    if held:
        decided = "decimal" in given or "thousands" in given or usual.decimal != "." or usual.thousands
        shown = {name: cells for name, cells in columns.items() if name not in texts}
        marks = {usual.decimal} if decided else find_evidence(shown, usual.missing).decimal_marks
    found = find(marks)
    # A price of $1.50 in one column says what $1,234 is in another.
    more = marks | {one.decimal for one in found.values() if isinstance(one, NumberForm) and one.decimal}
    if more != marks:
        marks, found = more, find(more)
    for name in numbers:
        one = found.get(name)
        if name in odd and not isinstance(one, NumberForm):
            why = f"{one.why}. Say it with --decimal" if one else f"fewer than {A_FEW} of its cells are numbers"
            raise DataError(f"--numbers {name}: {why}.")
    hindered = {name: _hindered(cells, usual) for name, cells in held.items() if found.get(name) is None}
    doubts = {name: one for name, one in (found | hindered).items() if isinstance(one, Doubt)}
    for name, doubt in doubts.items():
        if doubt.mark:
            remedy = _flags_that_work(columns, name, usual, doubt.mark, given)
        else:
            forced = _find(held[name], usual, marks, take_words=take_words, force=True)
            remedy = doubt.remedy if _loses_most(forced, held[name]) else _forced_remedy(name, forced)
        doubts[name] = doubt._replace(remedy=remedy or doubt.remedy or "write them in one way in the file")
    return {name: one for name, one in found.items() if isinstance(one, NumberForm)}, doubts


def open_readings(
    columns: Mapping[str, pa.Array],
    frame: pd.DataFrame,
    numbers: Mapping[str, NumberForm],
    usual: Format,
    given: Collection[str],
) -> list[str]:
    """What to warn of: columns whose points or commas are read in one way, by what the rest of the file shows or by
    custom, while each of their cells could be read in the other one.

    Args:
        columns: {name: (n_rows,) its cells, texts}.
        frame: (n_rows, n_columns), as they are read.
        numbers: {name: how it is read}, of those that are not of the ``usual`` form.
        usual: how numbers are written in the file as a whole.
        given: fields of ``usual`` that the user gave: then nothing is open.
    """
    if {"decimal", "thousands"} & set(given):
        return []
    forms = {
        name: numbers[name].form if name in numbers else usual
        for name in columns
        if column_type(frame[name]) == "number"
    }
    by_role: dict[tuple[str, bool], dict[str, OtherReading]] = {}
    for name, form in forms.items():
        if (found := other_reading(columns[name], form)) is not None:
            mark = next(mark for mark in OTHER_MARK if mark in found.cell)
            by_role.setdefault((mark, mark == form.decimal), {})[name] = found
    warnings = []
    for (mark, is_decimal), rivals in by_role.items():
        rival, cell, _ = next(iter(rivals.values()))
        exceptions = sum(found.exceptions for found in rivals.values())
        which = f"all of them but {exceptions:,}" if exceptions else "all of them"
        role = f"decimal {MARK_NAMES[mark]}s" if is_decimal else f"{MARK_NAMES[mark]}s between thousands"
        names = f"{some([repr(name) for name in rivals])} {'is' if len(rivals) == 1 else 'are'}"
        value = f"{'' if is_decimal else 'the decimal number '}{rival.plain(pa.array([cell]))[0]}"
        field = f"decimalChar: {rival.decimal!r} and groupChar: {rival.thousands!r}"
        remedy = _flags_of(columns, forms, rivals, usual) or f"declare {field} in the contract, once it is added"
        warnings.append(
            f"{names} read with {role}, but {which} are before three digits, such as {cell}: if that is {value}, "
            f"{remedy}"
        )
    return warnings


def _flags_of(
    columns: Mapping[str, pa.Array],
    forms: Mapping[str, Format],
    rivals: Mapping[str, OtherReading],
    usual: Format,
) -> str:
    """What to do to have some columns read in their other form, and the other ones of numbers as they are; "" if no
    flags do that."""
    wanted = next(iter(rivals.values())).form
    other = usual._replace(decimal=wanted.decimal, thousands=wanted.thousands)
    found, _ = find_number_forms({name: columns[name] for name in forms}, other, given=("decimal",))
    for name, form in forms.items():
        new = found[name].form if name in found else other
        if name not in found and not are_usual(columns[name], other):
            return ""
        cells = pc.unique(pc.utf8_trim_whitespace(columns[name]))
        cells = cells.filter(pc.match_substring_regex(cells, form.number))
        as_wanted = rivals[name][0].plain(cells) if name in rivals else form.plain(cells)
        if not new.plain(cells).equals(as_wanted):
            return ""
    return f"add the table with --decimal {other.decimal} --thousands {other.thousands}"


def distinct_cells(trimmed: pa.Array, usual: Format) -> tuple[pa.Array, np.ndarray]:
    """((n,) the cells of a column that are not empty or a usual word for a missing value, (n,) how often each occurs)

    Args:
        trimmed: (n_rows,) texts without blanks around.
        usual: what the words for a missing value are.
    """
    found = pc.value_counts(trimmed)
    present = pc.invert(is_in(found.field("values"), ("", *usual.missing)))
    return found.field("values").filter(present), found.field("counts").to_numpy()[as_bool(present)]


class _Cells:
    """The distinct cells of a column that are not empty or a usual word for a missing value, cut into parts.

    Attributes:
        texts, counts: (n,) the cells, and how often they occur.
        places: (n_numbers,) where among ``texts`` those are that are numbers, with marks or without.
        parts: (n_numbers, 8) their parts, see _PARTS; "" where one is not there.
        sign: (n_numbers,) how each is made negative, a value of Marks.negative; "" if it is not.
        is_code: (n_numbers,) whether a bare whole number is followed directly by what is no known unit.
    """

    def __init__(self, cells: pa.Array, usual: Format) -> None:
        self.texts, self.counts = distinct_cells(pc.utf8_trim_whitespace(cells), usual)
        parts = pc.extract_regex(self.texts, _PARTS)
        # 1. Male is a label with its number, and no 1 in a unit.
        is_listed = pc.and_(
            pc.match_substring_regex(parts.field("digits"), "[.,]$"), pc.not_equal(parts.field("suffix"), "")
        )
        self.places = np.flatnonzero(as_bool(pc.and_not(parts.is_valid(), is_listed)))
        columns = [parts.field(place).take(pa.array(self.places)) for place in range(parts.type.num_fields)]
        names = [parts.type.field(place).name for place in range(parts.type.num_fields)]
        self.parts = pd.DataFrame({name: cells.to_pandas() for name, cells in zip(names, columns, strict=True)})
        parts_of = self.parts.astype("str")
        is_whole = ~parts_of["digits"].str.contains(f"[{_GROUPS}]")
        is_known = as_bool(pc.match_substring_regex(columns[names.index("suffix")], _KNOWN_UNIT))
        glued = (parts_of["suffix"] != "") & (parts_of["gap"] == "")
        self.is_code = (glued & is_whole & ~is_known & (parts_of["prefix"] == "")).to_numpy(dtype=bool)
        leading = parts_of["before"] + parts_of["within"]
        signs = {
            "parentheses": leading.str.contains("(", regex=False),
            "unicode minus": leading.str.contains("\N{MINUS SIGN}", regex=False),
            "minus": leading.str.contains("-", regex=False),
            "trailing minus": (parts_of["behind"] + parts_of["end"]).str.contains("-", regex=False),
        }
        self.sign = np.select([np.asarray(one, dtype=bool) for one in signs.values()], list(signs), "")

    def count(self, places: np.ndarray) -> int:
        """How many cells of the column those at ``places`` are."""
        return int(self.counts[places].sum())

    def tally(self, places: np.ndarray) -> dict[str, int]:
        """{cell: how often it occurs} of those at ``places``, the most frequent first."""
        ordered = places[np.argsort(-self.counts[places], kind="stable")]
        return dict(zip(self.texts.take(pa.array(ordered)).to_pylist(), self.counts[ordered].tolist(), strict=True))


def are_usual(cells: pa.Array | pa.ChunkedArray, usual: Format) -> bool:
    """Whether all cells are numbers in the usual form, or missing."""
    for part in (cells[:SAMPLE], cells):
        trimmed = pc.utf8_trim_whitespace(part)
        is_usual = pc.or_(is_in(trimmed, ("", *usual.missing)), pc.match_substring_regex(trimmed, usual.number))
        if not pc.all(is_usual, min_count=0).as_py():
            return False
    return True


def _find(
    held: _Cells, usual: Format, decimals: set[str], *, take_words: bool, force: bool
) -> NumberForm | Doubt | None:
    """How a column is read, or why it stays text; None: it is no column of numbers.

    Args:
        held: its cells.
        usual: how numbers are written in the file.
        decimals: the decimal marks that the file shows.
        take_words: whether to look for words that stand for a missing value.
        force: read what most of its numbers are, and take the rest for missing.
    """
    own = np.ones_like(held.is_code) if force else ~held.is_code
    places = held.places[own]
    others = np.setdiff1d(np.arange(len(held.texts)), held.places)
    words = _missing_words(held, places, others) if take_words else others[:0]
    n_words, n_codes = held.count(words), held.count(held.places[~own])
    n_numbers, n_all = held.count(places), held.count(np.arange(len(held.texts)))
    if n_codes >= max(A_FEW, NEARLY_ALL * (n_all - n_words)) and len(set(held.parts["suffix"][~own])) == 1:
        code = str(held.texts[int(held.places[~own][0])])
        return Doubt(code, f"{code!r} may be a number and its unit, or a code")
    if n_numbers < A_FEW or (n_numbers < NEARLY_ALL * (n_all - n_words) and not force):
        return None

    parts, sign, counts = held.parts[own].reset_index(drop=True), held.sign[own], held.counts[places]
    parts["unit"], magnitudes = _units(parts["prefix"], parts["suffix"])
    by_unit = pd.Series(counts).groupby([parts["prefix"], parts["unit"]]).sum().sort_values(ascending=False)
    if len(by_unit) > 1 and not force:
        is_hedged = any(_is(one, _HEDGE) for marks in by_unit.index for one in marks)
        are_levels = len(places) < A_FEW and (is_hedged or by_unit.iloc[0] < n_numbers / 2)
        if are_levels or _are_addresses(by_unit):
            return None
        alike = "marked alike" if is_hedged else "in one unit"
        return Doubt(_first(held, places), f"its numbers are not all {alike}: {_listed(by_unit)}")
    prefix, suffix = by_unit.index[0]
    kept = ((parts["prefix"] == prefix) & (parts["unit"] == suffix)).to_numpy()
    hedges = [one for one in (prefix, suffix) if _is(one, _HEDGE)]
    if hedges and not force:
        if len(places) < A_FEW:
            return None
        return Doubt(_first(held, places), f"all its numbers have {hedges[0]!r}, which may say that they are not exact")
    by_sign = pd.Series(counts[kept]).groupby(sign[kept]).sum().drop("", errors="ignore").sort_values(ascending=False)
    negative = by_sign.index[0] if len(by_sign) else "minus"
    if set(by_sign.index) == {"minus", "unicode minus"}:
        by_sign = by_sign[["unicode minus"]]  # which takes both for what they are
        negative = "unicode minus"
    if len(by_sign) > 1 and not force:
        return Doubt(
            _first(held, places[sign != ""]), f"its negative numbers are marked by {' and by '.join(by_sign.index)}"
        )
    if negative in ("parentheses", "trailing minus") and (sign[kept] != "").all() and not force:
        return Doubt(
            _first(held, places), f"all its numbers have {negative}, which may mean negative numbers or nothing"
        )

    marks = Marks(
        prefix=prefix,
        suffix=suffix,
        negative=negative,  # type: ignore[arg-type]
        magnitudes=magnitudes,
    )
    texts = held.texts.take(pa.array(places[kept]))
    chosen = _choose(texts, counts[kept], parts["digits"][kept], usual, decimals, marks, force=force)
    if not isinstance(chosen, Format):
        return chosen
    is_read = as_bool(pc.match_substring_regex(held.texts, chosen.number))
    is_read[words] = True
    strays = np.flatnonzero(~is_read)
    n_strays = held.count(strays)
    if len(strays) and not force and pc.any(pc.match_substring_regex(held.texts.take(pa.array(strays)), _CODE)).as_py():
        return None
    if n_strays and not force:
        what = f"{n_strays:,} of its {n_all:,} cells {_are_no(n_strays, 'such number')}, as {_first(held, strays)!r}"
        return Doubt(_first(held, places), what)
    if len(strays):
        chosen = chosen._replace(marks=structs.replace(chosen.marks, others="missing"))
    found = held.tally(words)
    tells = [mark for mark in (chosen.decimal, chosen.thousands) if mark in (".", ",")]
    is_shown = any(pc.any(pc.match_substring(texts, mark)).as_py() for mark in tells)
    form = chosen._replace(missing=(*usual.missing, *found))
    return NumberForm(form, found, held.tally(strays), _example(texts), chosen.decimal if is_shown else "")


def _hindered(held: _Cells, usual: Format) -> Doubt | None:
    """Why a column stays text of which most cells hold a number, though no form was found; None if they do not, or if
    most are usual numbers, so that the reader names the cell that is none."""
    n_all = held.count(np.arange(len(held.texts)))
    is_usual = as_bool(pc.match_substring_regex(held.texts, usual.number))
    may_hold = is_usual | as_bool(pc.match_substring_regex(held.texts, _DIGIT))
    if 2 * held.count(np.flatnonzero(may_hold)) < n_all:  # most texts: the pattern below takes 17 ms to compile
        return None
    is_number = as_bool(
        pc.and_not(pc.match_substring_regex(held.texts, _AROUND), pc.match_substring_regex(held.texts, _NOT_AROUND))
    )
    parts = held.parts[~held.is_code]
    places = held.places[~held.is_code]
    by_unit = pd.Series(held.counts[places]).groupby([parts["prefix"].to_numpy(), parts["suffix"].to_numpy()]).sum()
    if not _are_addresses(by_unit.sort_values(ascending=False)):
        is_number[places] = True
    is_number |= is_usual
    holding, odd = np.flatnonzero(is_number), np.flatnonzero(~is_usual)
    if len(holding) < A_FEW or 2 * held.count(holding) < n_all or 2 * held.count(np.flatnonzero(is_usual)) >= n_all:
        return None
    # A stray among numbers with marks hinders; where all have marks, it is the marks that do.
    strays = np.flatnonzero(~is_number)
    first = _first(held, strays if len(strays) else odd)
    count = held.count(strays if len(strays) else odd)
    why = f"{count:,} of its {n_all:,} cells {_are_no(count, 'number')} that can be read, as {first!r}"
    return Doubt(_first(held, holding), why, "write them as plain numbers in the file")


def _are_addresses(by_unit: pd.Series) -> bool:
    """Whether what stands behind numbers, ``by_unit`` (their cells, the most frequent first, by what stands before and
    behind), are no units, but for instance streets: none is frequent, and there are many, or of several words."""
    unknown = [behind for before, behind in by_unit.index if behind and not before and not _is(behind, _KNOWN_UNIT)]
    are_texts = len(unknown) > MAX_UNITS or any(" " in behind for behind in unknown)
    return are_texts and bool(by_unit.iloc[0] < by_unit.sum() / 2)


def _listed(by_unit: pd.Series) -> str:
    """In words, what stands before and behind numbers, and how often."""
    units = [f"{before} {behind}".strip() or "none" for before, behind in by_unit.index]
    if len(set(units)) < len(units):  # USD before and behind
        units = [f"{before} 0 {behind}".strip() for before, behind in by_unit.index]
    return some([f"{unit} ({plural(count, 'cell')})" for unit, count in zip(units, by_unit, strict=True)])


def _is(text: str, pattern: str) -> bool:
    return bool(text) and bool(pc.match_substring_regex(pa.scalar(text), f"^(?:{pattern})$").as_py())


def _missing_words(held: _Cells, numbers: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The places of those among ``others`` that stand for a missing value."""
    cells = held.texts.take(pa.array(others))
    is_symbol = as_bool(is_in(cells, SYMBOLS))
    if len(numbers) < A_FEW:
        return np.asarray(others[is_symbol])
    is_word = is_symbol | as_bool(is_in(pc.utf8_lower(cells), MISSING_WORDS))
    rest = others[~is_word]
    recurring = len(rest) <= MAX_UNLISTED_WORDS and (held.counts[rest] > 1).all()
    plain = not pc.any(pc.match_substring_regex(held.texts.take(pa.array(rest)), "[0-9]"), min_count=0).as_py()
    if recurring and plain and held.count(numbers) >= NEARLY_ALL * (held.count(numbers) + held.count(rest)):
        return others
    return np.asarray(others[is_word])


def _units(prefix: pd.Series, suffix: pd.Series) -> tuple[pd.Series, bool]:
    """(n,) the suffixes that are units, and whether letters behind the numbers multiply them: k alone, several letters,
    one beside numbers without, or beside a currency. Else one letter throughout is a unit, such as kelvin."""
    letters = set(suffix) - {""}
    if not letters or not letters <= set(MAGNITUDES):
        return suffix, False
    varies = len(set(suffix)) > 1 and letters != {"B"}
    if letters == {"k"} or varies or set(prefix) != {""}:
        return pd.Series("", suffix.index), True
    return suffix, False


def _choose(
    texts: pa.Array,
    counts: np.ndarray,
    digits: pd.Series,
    usual: Format,
    decimals: set[str],
    marks: Marks,
    *,
    force: bool,
) -> Format | Doubt | None:
    """The form of numbers with these marks: which mark is decimal, which one groups digits, and how."""
    used = set("".join(digits.str.replace(r"[0-9]|[eE][-+]?[0-9]+$", "", regex=True).unique()))
    candidates = [usual._replace(marks=marks)]
    for decimal in (usual.decimal, OTHER_MARK[usual.decimal]):
        for group in ("", *sorted(used - {decimal})):
            if used <= {decimal, group}:
                forms = [marks, structs.replace(marks, groups="indian")] if group == "," else [marks]
                candidates += [usual._replace(decimal=decimal, thousands=group, marks=one) for one in forms]
    matches = [as_bool(pc.match_substring_regex(texts, form.number)) for form in candidates]
    sums = [int(counts[fits].sum()) for fits in matches]
    fitting = [form for form, total in zip(candidates, sums, strict=True) if total == max(sums)]
    if max(sums) < counts.sum() and not force:
        best = matches[int(np.argmax(sums))]
        if max(sums) == 0:
            return None
        two = [repr(texts[int(np.argmax(best == fits))].as_py()) for fits in (True, False)]
        return Doubt(_example(texts), f"its numbers are written in two ways, as {two[0]} and {two[1]} are")
    is_read = matches[int(np.argmax(sums))]
    texts, counts = texts.filter(pa.array(is_read)), counts[is_read]
    plain = [form.plain(texts) for form in fitting]
    is_bare = marks.unit == "" and not marks.magnitudes
    if not all(one.equals(plain[0]) for one in plain):
        mark = next(iter(used))
        fitting = [form for form in fitting if decimals == {form.decimal}]
        if not fitting:
            return Doubt(_example(texts), _two_readings(texts, mark), mark=mark)
    form = fitting[0]
    rivals = [
        form._replace(marks=structs.replace(form.marks, **{key: getattr(NO_MARKS, key)}))
        for key in ("groups", "magnitudes")
    ]
    other = OTHER_MARK.get(form.decimal, "")
    if other in decimals and (other == "." or form.thousands == other):
        rivals.append(form._replace(decimal=other, thousands=form.decimal * (form.thousands == other)))
    for rival in () if force else rivals:
        deciding = ~as_bool(pc.match_substring_regex(texts, rival.number))
        if 0 < (count := counts[deciding].sum()) < max(2, _RARE * counts.sum()):
            cell = texts[int(np.argmax(deciding))].as_py()
            return Doubt(
                _example(texts),
                f"only {count:,} of its cells, as {cell!r}, {are(count)} not written as {rival.example!r} is",
            )
    if is_bare and not force:
        if "." in decimals and form.decimal == "," and used == {","}:
            return Doubt(
                _example(texts), "its commas may be decimal marks, or part a list: other columns have decimal points"
            )
        lengths, group = pc.unique(pc.utf8_length(texts)).to_pylist(), form.thousands
        if used == {group} and group != "," and len(texts) > 1 and len(lengths) == 1 and lengths[0] >= PHONE:
            return Doubt(_example(texts), "its numbers, all of one length, may be telephone numbers or other codes")
    return form


def _are_no(count: int, noun: str) -> str:
    return f"is no {noun}" if count == 1 else f"are no {noun}s"


def _first(held: _Cells, places: np.ndarray) -> str:
    return str(held.texts[int(places[0])])[:40]


def _example(texts: pa.Array) -> str:
    """The longest of the first cells: it shows most."""
    return str(max(texts[:100].to_pylist(), key=len))[:40]


def _two_readings(texts: pa.Array, mark: str) -> str:
    cell = _example(texts)
    return f"{cell!r} may be {cell.replace(mark, '')} or {cell.replace(mark, '.')}, and no other cell decides it"


def _flags_that_work(
    columns: Mapping[str, pa.Array], name: str, usual: Format, mark: str, given: Collection[str]
) -> str:
    """The flags that settle what ``mark`` is in a column, and leave the other columns numbers; "" if none do."""
    other = OTHER_MARK.get(mark, usual.decimal)
    readings = {
        f"--thousands {shlex.quote(mark)}": usual._replace(decimal=other, thousands=mark),
        f"--decimal {mark}": usual._replace(decimal=mark, thousands=""),
    }
    working = []
    for flags, form in readings.items():
        numbers = [column for column, cells in columns.items() if column != name and are_usual(cells, usual)]
        if all(are_usual(columns[column], form) for column in numbers):
            found, _ = find_number_forms({name: columns[name]}, form, given={*given, "decimal"})
            if name in found or are_usual(columns[name], form):
                working.append(flags)
    return f"add the table with {' or '.join(working)}" if working else ""


def _loses_most(forced: NumberForm | Doubt | None, held: _Cells) -> bool:
    """Whether the form of most of a column's numbers leaves out most of its cells."""
    return isinstance(forced, NumberForm) and 2 * sum(forced.strays.values()) > held.counts.sum()


def _forced_remedy(name: str, forced: NumberForm | Doubt | None) -> str:
    if not isinstance(forced, NumberForm):
        return ""
    count, flag = sum(forced.strays.values()), f"--numbers {shlex.quote(name)}"
    rest = f", and takes the {plural(count, 'other cell')} for missing" if count else ""
    return f"{flag} reads numbers such as {forced.example}{rest}"
