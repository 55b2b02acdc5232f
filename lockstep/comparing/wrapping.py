"""Sentences for a terminal: broken between words, and commands in quotes not at all, so that they can be copied."""

import re
import shutil
from typing import IO
from unicodedata import east_asian_width

_WORDS = re.compile(r"(?:(?<!\w)'[^'\n]*'(?!\w)|\S)+")
"""What stays on one line: a word, or what stands in single quotes; the apostrophe of a word is no quote."""
_INDENT = 2
"""Of the lines that continue another one."""


def for_stream(text: str, stream: IO[str]) -> str:
    """``text`` as ``stream`` takes it: wrapped to the width of a terminal; as it is, for a file or another program."""
    return wrapped(text, shutil.get_terminal_size().columns) if stream.isatty() else text


def wrapped(text: str, width: int) -> str:
    """Lines of at most ``width`` columns, but for words that are longer; those that continue one are indented."""
    return "\n".join(_wrapped_line(line, width) for line in text.split("\n"))


def _wrapped_line(line: str, width: int) -> str:
    if _columns(line) <= width:
        return line
    indent = " " * (len(line) - len(line.lstrip(" ")))
    found: list[str] = []
    current = ""
    for word in _WORDS.findall(line):
        start = indent if not found else indent + " " * _INDENT
        if current and _columns(f"{current} {word}") > width:
            found.append(current)
            current = indent + " " * _INDENT + word
        else:
            current = f"{current} {word}" if current else start + word
    return "\n".join([*found, current])


def _columns(text: str) -> int:
    """How wide a terminal shows it: letters of East Asian scripts take two columns."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)
