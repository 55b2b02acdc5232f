"""What is wrong with a request, for the machine and for the person that sent it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from lockstep.deployment.serving.predicting import RefusedColumnsError, RefusedRowsError, RowScorer
from lockstep.deployment.serving.row_schema import allowed
from lockstep.kernel.errors import DataError, some
from lockstep.reading.contract import Violation, places

REQUEST = "the request"
"""What messages call the rows."""
MOST = 20
"""Mistakes, and rows of each, that an answer names."""


class Mistake(NamedTuple):
    """One rule that a request breaks.

    Attributes:
        reason: the rule in a word: type, columns, required, range, enum, pattern, json, csv, rows, ...
        message: what is wrong, with its place.
        column: None for the whole request.
        rows: (n,) the first rows (from 1) that break it.
        row_count: how many do; 0 where it is not about rows.
        allowed: what may stand there.
    """

    reason: str
    message: str
    column: str | None = None
    rows: tuple[int, ...] = ()
    row_count: int = 0
    allowed: str | None = None

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return self._asdict()


class RequestError(DataError):
    """A request that is refused.

    Args:
        mistakes: one at least.
        status: the HTTP status of the answer.
    """

    def __init__(self, mistakes: Iterable[Mistake], status: int = 422) -> None:
        self.mistakes, self.status = list(mistakes), status
        more = len(self.mistakes) - MOST
        shown = [mistake.message for mistake in self.mistakes[:MOST]] + ([f"And {more} more."] if more > 0 else [])
        super().__init__(" ".join(shown))


def mistakes_of(error: DataError, scorer: RowScorer, kind: str) -> list[Mistake]:
    """The mistakes that an error of ``predicting`` tells.

    Args:
        error: what was raised.
        scorer: the model that refused.
        kind: "json" or "csv": the reason where a cell, not a rule, is at fault.
    """
    if isinstance(error, RequestError):
        return error.mistakes
    if isinstance(error, RefusedColumnsError):
        one = error.columns[0] if len(error.columns) == 1 else None
        may_be = f"the columns {some(error.columns, 100)}" if one is None else allowed(scorer, one)
        return [Mistake(error.rule, str(error), one, allowed=may_be)]
    if not isinstance(error, RefusedRowsError):
        return [Mistake(kind, str(error))]
    return [_of_violation(broken, error, scorer) for broken in error.broken]


def _of_violation(broken: Violation, error: RefusedRowsError, scorer: RowScorer) -> Mistake:
    rows = broken.rows + error.before
    where = places(rows, None) if error.line_starts is None else places(broken.rows, error.line_starts)
    may_be = allowed(scorer, broken.column) if broken.column else None
    message = (
        f"{REQUEST} breaks its contract: column '{broken.column}': {broken.message}, in {where}. Allowed: {may_be}."
    )
    return Mistake(broken.rule, message, broken.column, tuple((rows[:MOST] + 1).tolist()), len(rows), may_be)
