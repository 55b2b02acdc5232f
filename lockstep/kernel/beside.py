"""A second thing at the same time: what waits for the disk, or lets go of Python's lock as hashing, reading and writing
do, while the stage goes on computing."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def beside(function: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Call ``function`` in a thread of its own while the block runs, which ends when both have ended.

    What the block gets waits for what the function gives. If both raise, the function's error is told: it looks at
    what the block reads, or writes what the block was to follow.
    """
    with ThreadPoolExecutor(1) as thread:
        called = thread.submit(function)
        try:
            yield called.result
        finally:
            called.result()
