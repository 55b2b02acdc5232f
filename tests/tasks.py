"""What the tests of workers have computed: a module that a worker can import, which has nothing of pytest's."""

import os
import time

from lockstep.kernel.errors import DataError


def nap(seconds, item, n_jobs=1):
    """(item, the process that computed it), some time later."""
    time.sleep(seconds)
    return item, os.getpid()


def dally(seconds, item, n_jobs=1):
    """The item, the first of them last."""
    time.sleep(0 if item else seconds)
    return item


def fail(_, item, n_jobs=1):
    if item:
        raise DataError(f"item {item} is wrong")
    return item
