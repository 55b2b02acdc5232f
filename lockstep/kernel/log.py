"""Logging: numbers, to stderr and to a file that nothing tracks; and how far a step has come.

What a step has done so far is a line of the log every 15 seconds, or, where stderr is a terminal, a bar on it. The file
gets the lines in either case.
"""

import contextlib
import logging
import resource
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
logger = logging.getLogger("lockstep")
HEARTBEAT_SECONDS = 15.0
REDRAW_SECONDS = 1.0
"""A bar is drawn so often; a step that is over before has none."""
_BEAT = "is_beat"
"""The attribute of the log's records that a bar stands in for."""
_bars: "list[tqdm[Any]]" = []
"""Those on the terminal."""


@contextlib.contextmanager
def logging_to(path: Path, name: str, *, stderr: bool = True) -> Iterator[None]:
    """While the block runs, send log lines and Python's warnings to the end of ``path`` with times, and to stderr."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    handlers[0].setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {name}: %(message)s"))
    if stderr:
        handlers.append(_Stderr())
        handlers[1].setFormatter(logging.Formatter(f"%(levelname)s {name}: %(message)s"))
    before = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("once")
            warnings.showwarning = _logging_once()
            yield
    finally:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


_OF_A_RACE = "`sklearn.utils.parallel.delayed` should be used with"
"""scikit-learn says so where it finds Python's filters of warnings empty, as another of its threads leaves them for a
moment."""


def _logging_once() -> Callable[..., None]:
    """What logs a warning of Python's the first time that it comes: its own filter forgets what was shown as soon as a
    library sets another filter for a moment."""
    seen: set[str] = set()

    def log(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = f"{category.__name__}: {' '.join(str(message).split())}"
        if text not in seen and _OF_A_RACE not in text:
            seen.add(text)
            logger.warning("%s", text)

    return log


class _Stderr(logging.StreamHandler[Any]):
    """Writes lines above the bar, if there is one, and not what it shows."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR:
            end_bars()
        if not (_bars and hasattr(record, _BEAT)):
            with above_bar():
                super().emit(record)


@contextlib.contextmanager
def above_bar() -> Iterator[None]:
    """What the block writes to stderr stands above the bar, if there is one."""
    if not _bars:
        yield
        return
    with _bars[-1].external_write_mode(file=_bars[-1].fp):
        yield


class Progress:
    """How far a step has come; ``str`` says it.

    Args:
        total: how much there is to do; None where nobody can tell.
        unit: what it is counted in.
    """

    def __init__(self, total: float | None = None, unit: str = "") -> None:
        self.total, self.unit = total, unit
        self.at_most, self.counts_itself = False, total is not None
        self.done = self._found = 0.0
        self.ask: Callable[[], float] | None = None
        self.part: Progress | None = None
        self.is_open = False
        self._share = 0.0
        self._start = self._counted_from = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.perf_counter() - self._start

    @property
    def so_far(self) -> float:
        """What is done, and the share of what comes next that is."""
        part = self.part  # which may go while this is said, in another thread
        share = min(part.so_far / part.total, 1.0) if part is not None and part.total else 0.0
        return self._whole + max(share, self._share)

    @property
    def _whole(self) -> float:
        ask = self.ask
        return self.done if ask is None else ask()

    def advance(self, count: float = 1, *, found: bool = False) -> None:
        """Count what is done; ``found``: it was there already, and says nothing of the time that the rest takes."""
        self._share = 0.0
        self.done += count
        self._found += count if found else 0

    def expect(self, total: float, unit: str, *, at_most: bool = False, ask: Callable[[], float] | None = None) -> None:
        """Say how much there is to do, once that is known; see counting."""
        self.unit, self.at_most, self.ask, self.total = unit, at_most, ask, total

    @contextlib.contextmanager
    def counted_in_block(
        self, total: float, unit: str, at_most: bool, ask: Callable[[], float] | None
    ) -> Iterator[None]:
        """In the block, what it counts is all of this, whatever was counted before; see counting."""
        self.is_open, self.done, self._found, self._share = True, 0.0, 0.0, 0.0
        self._counted_from = time.perf_counter()
        self.expect(total, unit, at_most=at_most, ask=ask)
        try:
            yield
            self.done = self._whole
        finally:
            self.ask, self.is_open = None, False

    @contextlib.contextmanager
    def part_in_block(self) -> Iterator["Progress"]:
        """In the block, count the share of what comes next that is done, which stays until that is: what is done does
        not become less."""
        steps, part = _here.steps, Progress()
        steps.append(part)
        self.part = part
        try:
            yield part
            self._share = self.so_far - self._whole
        finally:
            self.part = None
            _leave(steps, part)

    def __str__(self) -> str:
        so_far = f"{duration(self.seconds)} so far"
        if self.total is None:
            return so_far
        done, bound = self.so_far, "at most " if self.at_most else ""
        text = f"{self._whole:,.0f} of {bound}{self.total:,.0f} {self.unit}, {so_far}"
        if not self._found < done < self.total:
            return text
        left = duration((time.perf_counter() - self._counted_from) / (done - self._found) * (self.total - done))
        return f"{text}, {bound}about {left} left"


class _Here(threading.local):
    """What goes on in a thread, the innermost last: heartbeats, and parts of them."""

    def __init__(self) -> None:
        self.steps: list[Progress] = []


_here = _Here()


@contextlib.contextmanager
def counting(
    total: float, unit: str, *, at_most: bool = False, ask: Callable[[], float] | None = None
) -> Iterator[Progress]:
    """In the block, count how far the step has come that goes on in this thread, and was begun without a total: all of
    it; or, while that is counted already, what comes next in it. What is one piece is counted by what is counted in it.

    Where no step goes on, or one that counts itself, nobody sees it.

    Args:
        total: how much there is to do.
        unit: what it is counted in.
        at_most: whether the total is a bound.
        ask: says how much is done, where it is not told by ``advance``; called from another thread, while the block
            runs.
    """
    outer, given = _here.steps[-1] if _here.steps else None, (total, unit, at_most, ask)
    if outer is None or outer.counts_itself or total <= 1:
        yield Progress(total, unit)
    elif not outer.is_open:
        with outer.counted_in_block(*given):
            yield outer
    else:
        with outer.part_in_block() as part, part.counted_in_block(*given):
            yield part


def counted(items: Iterable[T], unit: str) -> Iterator[T]:
    """The items, each of which is done, as counting counts, when the next one is asked for."""
    taken = list(items)
    with counting(len(taken), unit) as progress:
        for item in taken:
            yield item
            progress.advance()


def counted_parts(items: Sequence[T], size: int, unit: str) -> Iterator[Sequence[T]]:
    """The items in parts of ``size``, the last one smaller; counted by the item, as counted does."""
    with counting(len(items), unit) as progress:
        for first in range(0, len(items), size):
            part = items[first : first + size]
            yield part
            progress.advance(len(part))


def _leave(steps: list[Progress], progress: Progress) -> None:
    steps[:] = [other for other in steps if other is not progress]


def duration(seconds: float) -> str:
    """A time in words: 50 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


@contextlib.contextmanager
def heartbeat(
    what: str, total: float | None = None, unit: str = "", every: float = HEARTBEAT_SECONDS
) -> Iterator[Progress]:
    """Say that ``what`` is still going on and how far it has come, and how long it took at the end.

    Args:
        what: the step.
        total, unit: see Progress, which the block gets to count in. Without a total what the block calls may count it:
            see counting.
        every: seconds between two lines of the log.
    """
    progress, over = Progress(total, unit), threading.Event()
    bar = _new_bar() if sys.stderr.isatty() else None
    if bar is not None:
        _bars.append(bar)

    def beat() -> None:
        line = every
        while not over.wait(every if bar is None else min(REDRAW_SECONDS, every)):
            if bar is not None:
                _draw(bar, what, progress)
            if progress.seconds >= line:
                line += every
                logger.info("%s: %s", what, str(progress), extra={_BEAT: True})

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    steps = _here.steps  # a file that is read block by block may end in another thread
    steps.append(progress)
    try:
        yield progress
    finally:
        _leave(steps, progress)
        over.set()
        thread.join()
        if bar is not None:
            _end(bar)
    logger.info("%s: %.2f s", what, progress.seconds)


def _new_bar() -> "tqdm[Any]":
    """A bar that is drawn by _draw alone, and leaves nothing behind."""
    from tqdm import tqdm  # here, where a person is watching: stages start without it

    return tqdm(leave=False, delay=sys.maxsize, file=sys.stderr)


def _draw(bar: "tqdm[Any]", what: str, progress: Progress) -> None:
    """Draw the bar in one line, cutting what the step is called if there is no room for all."""
    form, bar.total = "" if progress.total is None else " |{bar:10}|", progress.total
    bar.bar_format = f"{{desc}}{form}"
    bar.n, (bar.ncols, bar.nrows), said = progress.so_far, shutil.get_terminal_size(), str(progress)
    room = bar.ncols - len(f": {said} |{'':10}|") - 1
    bar.set_description_str(f"{what if len(what) <= room else f'{what[: max(room - 3, 0)]}...'}: {said}")


def _end(bar: "tqdm[Any]") -> None:
    if not bar.disable:
        bar.clear()  # closing does not, since it was not drawn by counting
        bar.close()
    _bars[:] = [other for other in _bars if other is not bar]


def end_bars() -> None:
    """Remove all bars, before an error is told: what they stand for may hold on until it was."""
    for bar in _bars[:]:
        _end(bar)


def peak_memory_mib() -> float:
    """The largest resident set this process has had, in MiB."""
    try:
        # Linux hands ru_maxrss of a large parent down to the child that it starts; this number is the process's own.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024) if sys.platform == "darwin" else peak / 1024
