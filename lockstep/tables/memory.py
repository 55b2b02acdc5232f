"""Memory for tables that take much of what there is: in files, from which the system can take it back.

Where a table lies changes no result, so it is no setting.
"""

import contextlib
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np

SHARE = 4
"""A table of more than this part, a fourth, of all memory lies in a file: stages hold about twice as much beside it."""
_CGROUPS, _OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def empty_array(shape: tuple[int, int], dtype: type, folder: Path) -> np.ndarray:
    """An array to be filled, as numpy.empty makes it.

    A large one is a mapped file in ``folder``, which has no name and is gone with the array: what of it was not used of
    late need not be in memory.
    """
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    if size > memory_limit() // SHARE:
        with contextlib.suppress(OSError, AttributeError), tempfile.TemporaryFile(dir=folder) as file:
            # A full disk is told now, and not when a page is written. macOS has no such call.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), dtype=dtype).reshape(shape)
    return np.empty(shape, dtype)


def memory_limit() -> int:
    """The bytes of memory that this process may use: the machine's, or the limit of its control group (a container's,
    systemd's)."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" or "memory" in controllers.split(","):
                limits += _limits_of(path.lstrip("/"), v2=number == "0")
    return min(limits)


def _limits_of(path: str, *, v2: bool) -> list[int]:
    """Those of a control group and the groups that it is in. In a container the outer ones are not to be seen: the root
    is its own."""
    root, name = (_CGROUPS, "memory.max") if v2 else (_CGROUPS / "memory", "memory.limit_in_bytes")
    found = []
    for folder in [root / path, *(root / path).parents]:
        if folder == _CGROUPS.parent:
            break
        with contextlib.suppress(OSError, ValueError):  # "max": there is none
            found.append(int((folder / name).read_text()))
    return found
