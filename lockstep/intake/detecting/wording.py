"""Words of messages: verbs that agree with numbers, and names of columns."""

from collections.abc import Collection

from lockstep.kernel.errors import DataError, Setting, did_you_mean, some


def are(number: int) -> str:
    """The verb behind so many things."""
    return "is" if number == 1 else "are"


def not_beside_target(setting: str, column: str, names: Collection[str]) -> DataError:
    """What is raised of a setting that names a ``column`` that is not there, or the target; ``names``: the others."""
    return DataError(Setting(setting), f": '{column}' is no column beside the target. {columns_beside(column, names)}")


def columns_beside(column: str, names: Collection[str]) -> str:
    """The columns that there are, for a message about a ``column`` that is not."""
    return f"It has: {some(map(shown_name, names), 20)}.{did_you_mean(column, names)}"


def shown_name(name: str) -> str:
    """A column's name, in quotes where spaces at its ends would be overlooked."""
    return name if name == name.strip() else repr(name)
