"""What a stage's process does before anything else."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEPT = """
import sys
import numpy as np
from lockstep.kernel.start import give_back_memory
if "given back" in sys.argv:
    give_back_memory()
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024
np.ones(30 * 2**17)  # 30 MiB, which teach glibc that arrays of that size come and go
before, small, large = resident(), [], []
for _ in range(40):
    large.append(np.ones(6 * 2**17))  # 6 MiB
    small.append(np.ones(2**13))  # 64 KiB, which stay
del large
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no glibc")
def test_the_memory_of_arrays_is_given_back_whatever_lies_between_them():
    def kept(*arguments):
        command = [sys.executable, "-c", KEPT, *arguments]
        return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    assert kept("given back") < 20 < kept()
