"""Warnings about columns as values, so that whoever shows them need not know their words."""

from typing import Literal, NamedTuple

WarningKind = Literal[
    "formatted numbers",
    "long integers",
    "long numbers",
    "missing words",
    "mostly numbers",
    "scientific",
    "similar levels",
    "strays",
]


class ColumnWarning:
    """What a person could take a column for other than it is read as.

    Args:
        kind: what it is about.
        parts: the message, cut before and behind each Setting that it names; the column's name comes before it.
    """

    def __init__(self, kind: WarningKind, *parts: str) -> None:
        self.kind, self.parts = kind, parts


class ReaderWarning(NamedTuple):
    """A warning about a column of a file: what the log is given, as the message of a record."""

    file: str
    column: str
    warning: ColumnWarning

    @property
    def parts(self) -> tuple[str, ...]:
        """The message, cut before and behind each Setting that it names."""
        return (f"{self.file} column '{self.column}' ", *self.warning.parts)

    def __str__(self) -> str:
        return "".join(self.parts)
