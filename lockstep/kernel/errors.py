"""The errors a user can meet, each with the exit code of the process that meets it.

Every message is one sentence or two that say what was wrong, where (file, column, line), what is allowed, and what to
type next. Exit codes of the whole product: 0 fine, 1 a command's own negative answer, 2 bad data or settings,
3 integrity, 4 environment.
"""

import contextlib
import difflib
import errno
import re
from collections.abc import Collection, Iterable, Iterator


class Setting(str):
    """A setting in a message, by its dotted name: whoever shows the message may put the name of a flag there."""

    __slots__ = ()


class Message:
    """A message for the log, cut before and behind each Setting that it names."""

    def __init__(self, *parts: str) -> None:
        self.parts = parts

    def __str__(self) -> str:
        return "".join(self.parts)


class LockstepError(Exception):
    """An error whose message is meant for the user; it is shown without a traceback.

    Args:
        parts: the message, cut before and behind each Setting that it names.
    """

    exit_code = 1

    def __init__(self, *parts: str) -> None:
        super().__init__("".join(parts))
        self.parts = parts


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


_ALLOCATING = re.compile(r"std::bad_alloc|\bbad allocation")
"""What C++ says of a lack of memory, in whichever library."""
_SHORT = re.compile(
    r"can't start new thread|can't allocate lock|out of memory|insufficient memory|failed to map segment"
    r"|(cannot|failed to|unable to|could not) allocate|memory allocation",
    re.IGNORECASE,
)
"""What others say of it, and of threads, whose stacks are memory."""
_OF_DATA = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""Whose messages may have texts of the data in them."""


def lack_of_memory(error: BaseException, doing: str = "") -> MachineError | None:
    """What to say where an error, whichever library raised it, means that there was not enough memory; else None.

    Args:
        error: that was caught. One that was made of it says so, too: a file that "cannot be read".
        doing: what the memory was for: "fit LGBMClassifier".
    """
    if isinstance(error, MachineError):  # which says what is lacking itself
        return None
    if isinstance(error, LockstepError):
        origin = error.__cause__ or error.__context__
        return None if origin is None else lack_of_memory(origin, doing)
    said = " ".join(str(error).split())
    short = isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
    if type(error) not in _OF_DATA:
        short = short or _ALLOCATING.search(said) is not None
        # XGBoost's are ValueErrors; scikit-learn's and pandas' are Python's own, which were left out before.
        short = short or (not isinstance(error, OSError) and _SHORT.search(said) is not None)
    if not short:
        return None if error.__cause__ is None else lack_of_memory(error.__cause__, doing)
    what = f"not enough memory{f' to {doing}' if doing else ''} ({said[:200] or type(error).__name__})"
    return MachineError(
        f"{what}: close other programs, raise the limit of this process (its container's, or ulimit -v), or give it "
        "fewer rows or columns (docs/scale.md), then run it again."
    )


@contextlib.contextmanager
def called(path: object, name: str) -> Iterator[None]:
    """Have errors of the block name a file, which is there for its time only, by ``name``."""
    try:
        yield
    except LockstepError as error:
        error.parts = tuple(
            part if isinstance(part, Setting) else part.replace(str(path), name) for part in error.parts
        )
        error.args = ("".join(error.parts),)
        raise


def some(items: Iterable[object], most: int = 5) -> str:
    """The first ``most`` items, comma-separated, and how many more there are."""
    words = [str(item) for item in items]
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def plural(count: int, noun: str) -> str:
    """1 row; 2 rows; 2 classes; 2 batches."""
    ending = "" if count == 1 else "es" if noun.endswith(("s", "ch")) else "s"
    return f"{count:,} {noun}{ending}"


def nearest(word: object, allowed: Iterable[object], most: int | None = None) -> list[str]:
    """The words of ``allowed``, those most like ``word`` first, ``most`` of them at most."""
    known = [str(item) for item in allowed]
    return difflib.get_close_matches(str(word), known, (most or len(known)) if known else 1, cutoff=0.0)


def alike(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that is most like ``word``, upper and lower case being alike; None if none is like it."""
    known = {name.strip().casefold(): name for name in allowed}
    near = difflib.get_close_matches(word.strip().casefold(), known, 1)
    return known[near[0]] if near else None


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` Did you mean 'iris'?``, or nothing if no allowed word is like ``word``."""
    near = alike(word, allowed)
    return "" if near is None else f" Did you mean '{near}'?"


def absent_columns(absent: Iterable[str], there: Collection[str]) -> str:
    """Columns that are not there, each with the one that may be meant: ``age, size (is it Size?)``."""
    near = {name: alike(name, there) for name in absent}
    return some([name if found is None else f"{name} (is it {found}?)" for name, found in near.items()], 20)
