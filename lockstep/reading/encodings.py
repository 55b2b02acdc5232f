"""Tells what a text that is not UTF-8 is encoded in, where that can be told; else shows how the candidates differ.

Any bytes are text in many encodings, and a wrong one reads names wrong without an error: ``Hélène`` in Windows-1252 is
``Hélčne`` in Windows-1250. So where several readings are plausible, it is said how they
differ, and the likeliest is taken only if it can be told, or takes one byte for a character as all others do.
(Detectors by letter frequencies take a reading for right that is not: of 33 tables of European names, in 11 languages,
charset-normalizer 3.5 put a wrong one first in 16.)
"""

import codecs
import contextlib
import functools
import itertools
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258"),
    *("iso8859-15", "iso8859-2", "iso8859-7", "iso8859-16", "koi8-r", "koi8-u", "cp874"),
    *("cp932", "gb18030", "big5", "cp949", "euc-jp"),
    *("mac-roman", "mac-cyrillic", "cp850", "cp852", "cp437", "cp866"),
)
"""Those of the Encoding Standard (https://encoding.spec.whatwg.org/) that tables are met in, and the DOS code pages
that they replaced; of two that read a text alike, the first is named."""
_NO_CHARACTER_SETS = frozenset(
    ("punycode", "idna", "unicode-escape", "raw-unicode-escape", "utf-7", "charmap", "undefined", "mbcs", "oem")
)
"""What Python decodes to text, too, but that no table is written in: names of hosts, escapes in source code, ..."""
NO_CHARACTER_SET = (
    "no character set that Python knows. Allowed are those that map bytes to text, such as utf-8, utf-16, cp1252, "
    "iso8859-15, cp1251, cp932, gb18030"
)
_MULTI_BYTE = frozenset(("cp932", "gb18030", "big5", "cp949", "euc-jp"))
_FREQUENT = {"CYRILLIC": "оеаинтсрвл", "GREEK": "αοιετσνηυρ", "HEBREW": "יוהלאמרתבש", "ARABIC": "الينموتربه"}
"""The most frequent letters of languages that are written in a script."""
_TURKISH = frozenset("çğıöşüâîûÇĞİÖŞÜÂÎÛ")
"""Its letters beyond ASCII. Windows-1252 has Icelandic ones in place of Ğğ, İı and Şş."""
EVIDENCE = 1 << 18
"""Bytes of different lines that are looked at."""
_BEYOND_ASCII = re.compile(rb"[^\r\n]*[\x80-\xff][^\r\n]*")
_SIGNS = frozenset("€£¥¢§©®™°ºª±×÷µ‰†‡¹²³¼½¾«»‹›„“”‘’‚–—…•·¡¿№ \N{NO-BREAK SPACE}、。「」・")  # noqa: RUF001
_AMID_LETTERS = frozenset("’·\N{NO-BREAK SPACE}–—、。「」・")  # noqa: RUF001
"""Signs that may have a letter on both sides."""
_CAPITALISED = re.compile("[U-]*|U?[l-]*")
"""The letters of a word in the usual case: U capital, l small, - neither (nor ß, which is written among both)."""


class Reading(NamedTuple):
    """What one or more encodings make of a text.

    Attributes:
        encodings: their names.
        lines: the text's different lines that are not plain ASCII.
    """

    encodings: list[str]
    lines: list[str]


def is_character_set(name: str) -> bool:
    """Whether Python knows an encoding of that name which tables may be written in: one that maps bytes to text."""
    try:
        "a".encode(name)  # refused by what maps bytes to bytes, or text to text
        return codecs.lookup(name).name not in _NO_CHARACTER_SETS
    except (LookupError, ValueError):
        return False


def plausible_readings(data: pa.Buffer) -> list[Reading]:
    """The plausible readings of a text, in the order of ENCODINGS.

    In a plausible reading, every character beyond ASCII is a letter, in a word of one script that is capitalised as
    words are, or one of the usual signs, not amid letters.
    """
    lines = _lines(data)
    readings: dict[tuple[str, ...], list[str]] = {}
    for encoding in ENCODINGS:
        try:
            found = tuple(line.decode(encoding) for line in lines)
        except UnicodeDecodeError:
            continue
        readings.setdefault(found, []).append(encoding)
    return [Reading(names, list(found)) for found, names in readings.items() if all(map(_is_plausible, found))]


def likeliest(readings: Sequence[Reading]) -> Reading | None:
    """The likeliest of several plausible readings; None if it may be one that takes several bytes for a character.

    Encodings of one byte a character map bytes to characters one to one: with a wrong one, cells that differ still do.
    So a choice is better than none. It is Windows-1252 if that reads signs only; else a reading with no others than
    signs of currencies; else that in which most letters are the frequent ones of their script, if the words beyond
    ASCII hold no others; else Windows-1254 if that reads Turkish; else Windows-1252, or the first of ENCODINGS.
    """
    several = [reading for reading in readings if _MULTI_BYTE.intersection(reading.encodings)]
    single = [reading for reading in readings if reading not in several]
    foreign = [reading for reading in single if _is_foreign(reading)]
    signs = next((one for one in single if "cp1252" in one.encodings and not _words(one)), None)
    signs = signs or next((one for one in single if _are_currencies(one)), None)
    best = max(foreign, key=_frequent, default=None)
    if best is not None and _frequent(best) > 0.5 and signs is None:
        return best
    if any(map(_has_words_of_ideograms, several)):
        return None
    return signs or next(filter(_is_turkish, single), None) or (best if len(foreign) == len(single) else single[0])


def _has_words_of_ideograms(reading: Reading) -> bool:
    """Whether most of what a reading holds beyond ASCII is in words of two characters and more, of several kinds: else
    they are single letters of Europe, of which two happened to make one character."""
    words = [word for line in reading.lines for word in re.findall(r"[^\x00-\x7f]+", line)]
    characters = "".join(words)
    return len(set(characters)) > 2 and 2 * sum(len(word) for word in words if len(word) > 1) > len(characters)


def some_reading(data: pa.Buffer) -> str | None:
    """An encoding of one byte a character in which a text that is plausible in none can be read: what its author wrote
    was damaged before, and what is left is told apart as well as by any other. None if there is none."""
    lines = _lines(data)
    for encoding in ENCODINGS:
        if encoding in _MULTI_BYTE:
            continue
        with contextlib.suppress(UnicodeDecodeError):
            text = "".join(line.decode(encoding) for line in lines)
            if not any(unicodedata.category(character) == "Cc" and character != "\t" for character in text):
                return encoding
    return None


def _words(reading: Reading) -> list[str]:
    """The runs of letters beyond ASCII."""
    runs = (itertools.groupby(line, lambda c: not c.isascii() and _script(c) != "") for line in reading.lines)
    return ["".join(run) for groups in runs for is_word, run in groups if is_word]


def _are_currencies(reading: Reading) -> bool:
    found = {character for line in reading.lines for character in set(line) if not character.isascii()}
    return not found.isdisjoint("€£¥") and found <= set("€£¥\N{NO-BREAK SPACE}")


def _is_foreign(reading: Reading) -> bool:
    return any(_script(letter) in _FREQUENT for letter in set("".join(_words(reading))))


def _is_turkish(reading: Reading) -> bool:
    letters = set("".join(_words(reading)))
    return letters <= _TURKISH and not letters.isdisjoint("ıİ") and not letters.isdisjoint("ğĞşŞ")


def _frequent(reading: Reading) -> float:
    """The share of the frequent letters of their scripts among the letters beyond ASCII, if words hold no others and
    there are enough of them to say: several, in words of two and more. One that stands alone may be any sign."""
    letters = "".join(word.lower() for word in _words(reading) if len(word) > 1)
    mixed = sum(len(re.findall(r"[A-Za-z][^\W\d_a-zA-Z]|[^\W\d_a-zA-Z][A-Za-z]", line)) for line in reading.lines)
    frequent = sum(c in _FREQUENT.get(_script(c), "") for c in letters)
    enough = len(letters) >= 10 and len(set(letters)) >= 4
    return frequent / len(letters) if enough and not mixed else 0.0


def line_of_utf8(data: pa.Buffer) -> int | None:
    """The first line that is UTF-8 and not plain ASCII, from 1: in a text that is not UTF-8 as a whole, a sign that two
    encodings were mixed. None if there is none."""
    for match in _BEYOND_ASCII.finditer(memoryview(data)):
        try:
            if _is_plausible(match[0].decode("utf-8")):
                return _line(data, match.start())
        except UnicodeDecodeError:
            continue
    return None


def difference(data: pa.Buffer, readings: Sequence[Reading], most: int = 4) -> str:
    """In words, a cell that the readings read differently: ``line 2 reads 'Hélène' as cp1252, 'Hélčne' as cp1250``"""
    shown, texts, at = readings[:most], [""], 0
    for i, raw in enumerate(_lines(data)):
        cells = zip(*(re.split(r"[,;\t|\"]", reading.lines[i]) for reading in shown), strict=False)
        best = max(cells, key=lambda cell: len(set(cell)))
        if len(set(best)) > len(set(texts)):
            texts, at = list(best), bytes(memoryview(data)).find(raw)
        if len(set(texts)) == len(shown):
            break
    begin = max(next((i for i, some in enumerate(zip(*texts, strict=False)) if len(set(some)) > 1), 0) - 20, 0)
    ways = [f"{text[begin:][:40]!r} as {reading.encodings[0]}" for text, reading in zip(texts, shown, strict=True)]
    more = f" and in {len(readings) - most} more ways" if len(readings) > most else ""
    return f"line {_line(data, at)} reads {', '.join(ways)}{more}"


def _lines(data: pa.Buffer) -> list[bytes]:
    """The different lines that are not plain ASCII, EVIDENCE bytes of them."""
    lines: dict[bytes, None] = {}
    size = 0
    for match in _BEYOND_ASCII.finditer(memoryview(data)):
        if match[0] not in lines:
            lines[match[0]] = None
            size += len(match[0])
            if size > EVIDENCE:
                break
    return list(lines)


def _line(data: pa.Buffer, offset: int) -> int:
    head: bytes = data.slice(0, offset).to_pybytes()
    return 1 + max(head.count(b"\n"), head.count(b"\r"))


def _is_plausible(text: str) -> bool:
    """Whether every character beyond ASCII is where one would expect it in a text."""
    runs = [(is_word, "".join(run)) for is_word, run in itertools.groupby(text, lambda c: _script(c) != "")]
    for i, (is_word, run) in enumerate(runs):
        if run.isascii():
            continue
        if is_word:
            cases = "".join("l" if c.islower() and c != "ß" else "U" if c.isupper() else "-" for c in run)
            if len(set(map(_script, run))) > 1 or not _CAPITALISED.fullmatch(cases):
                return False
        else:
            amid = 0 < i < len(runs) - 1 and len(run) == 1 and run not in _AMID_LETTERS
            if amid or not all(c.isascii() or c in _SIGNS for c in run):
                return False
    return True


@functools.cache
def _script(character: str) -> str:
    """The script of a letter or of a mark on one; "" for anything else."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lo", "Lm", "Mn", "Mc") or character in _SIGNS:
        return ""
    script = unicodedata.name(character, "").split(" ")[0]
    return {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK", "IDEOGRAPHIC": "CJK"}.get(script, script)
