"""Finds columns of free text: titles, names, remarks, whose words tell more of a row than which of the texts it is.

Their components made the models of seven tables of eight better; those of names that differ in each row, and of
addresses, did not (benchmarks/model_choice.md). Dates, codes and addresses are known by the digits in their words.
"""

from collections.abc import Iterable

from lockstep.intake.detecting.column_roles import ColumnRoles
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.steps.splitting.identifiers import plain_words
from lockstep.tables.table import column_type

import pandas as pd

_WORDS = 2
"""Half of the texts have so many words without a digit."""
MANY_LEVELS = PreprocessSettings().max_levels
"""A column of more different texts than this is no category that stands for itself."""


def free_texts(frame: pd.DataFrame, roles: ColumnRoles, without: Iterable[str | None]) -> list[str]:
    """The columns of free text.

    Args:
        frame: (n_rows, n_columns), all columns.
        roles: what they are.
        without: columns that are no features.
    """
    others: set[str | None] = {*without, *roles.identifiers, *roles.leaks, *roles.repeating, *roles.dates}
    return [name for name in map(str, frame) if name not in others and _is_free(frame[name])]


def _is_free(column: pd.Series) -> bool:
    return column_type(column) == "text" and column.nunique() > MANY_LEVELS and plain_words(column.dropna()) >= _WORDS
