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


SHORT = """
import sys
from lockstep.kernel.start import end_where_memory_lacks
sys.excepthook = end_where_memory_lacks
raise {}
"""


@pytest.mark.parametrize(
    ("error", "code", "said"), [("MemoryError", 4, "ERROR: not enough memory"), ("KeyError", 1, "Tr")]
)
def test_a_lack_of_memory_while_it_imports_is_said_in_a_sentence(error, code, said):
    command = [sys.executable, "-c", SHORT.format(error)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.startswith(said)
    assert ("Traceback" in done.stderr) == (code == 1)


def test_a_stage_as_dvc_starts_it_says_so():
    """A library that is not there stands for one that there is no memory for."""
    absent = "import sys, runpy; sys.modules['pandas'] = None; "
    short = "import lockstep.kernel.errors as e; e.lack_of_memory = lambda error: e.MachineError('short'); "
    run = "runpy.run_module('stages.load', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", f"{absent}{short}{run}"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (4, "ERROR: short\n")
