"""The errors a user can meet, each with the exit code of the process that meets it.

Every message is one sentence or two that say what was wrong, where (file, column, line), what is allowed, and what to
type next. Exit codes of the whole product: 0 fine, 1 a command's own negative answer, 2 bad data or settings,
3 integrity, 4 environment.
"""


class LockstepError(Exception):
    """An error whose message is meant for the user; it is shown without a traceback."""

    exit_code = 1


class SettingsError(LockstepError, ValueError):
    """A setting is unknown, missing, of the wrong type, or out of range."""

    exit_code = 2


class DataError(LockstepError, ValueError):
    """A table is not what the settings say it is, or is unfit for training."""

    exit_code = 2


class IntegrityError(LockstepError):
    """A file is not the one that was written: altered, truncated, or of another kind."""

    exit_code = 3


class MachineError(LockstepError):
    """The machine, not the input, is at fault: no space, no permission, something missing."""

    exit_code = 4


def some(items: "list[object] | list[int] | list[str]", most: int = 5) -> str:
    """The first ``most`` items, comma-separated, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
