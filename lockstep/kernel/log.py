"""Logging: numbers, to stderr and to a file that nothing tracks."""

import contextlib
import logging
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

logger = logging.getLogger("lockstep")
HEARTBEAT_SECONDS = 15.0


@contextlib.contextmanager
def logging_to(path: Path, name: str, *, stderr: bool = True) -> Iterator[None]:
    """While the block runs, send log lines and Python's warnings to the end of ``path`` with times, and to stderr."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [logging.FileHandler(path, encoding="utf-8")]
    handlers[0].setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s {name}: %(message)s"))
    if stderr:
        handlers.append(logging.StreamHandler())
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


def _logging_once() -> Callable[..., None]:
    """What logs a warning of Python's the first time that it comes: its own filter forgets what was shown as soon as a
    library sets another filter for a moment."""
    seen: set[str] = set()

    def log(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = f"{category.__name__}: {' '.join(str(message).split())}"
        if text not in seen:
            seen.add(text)
            logger.warning("%s", text)

    return log


@contextlib.contextmanager
def heartbeat(what: str, every: float = HEARTBEAT_SECONDS) -> Iterator[None]:
    """Log that ``what`` is still going on, every ``every`` seconds, and how long it took at the end."""
    start = time.perf_counter()
    over = threading.Event()

    def beat() -> None:
        while not over.wait(every):
            logger.info("%s: %.0f s so far", what, time.perf_counter() - start)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    logger.info("%s: %.2f s", what, time.perf_counter() - start)


def peak_memory_mib() -> float:
    """The largest resident set this process has had, in MiB."""
    try:
        # Linux hands ru_maxrss of a large parent down to the child that it starts; this number is the process's own.
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024) if sys.platform == "darwin" else peak / 1024
