"""Pins the processor-dependent choices of NumPy and OpenBLAS, so that every x86-64 processor gives the same bits.

OpenBLAS picks its kernels, and NumPy its SIMD level, by the processor they find; both change the last bits of sums, and
with them some models. Both read the environment when they are loaded, so this runs before anything imports NumPy: the
packages ``lockstep`` and ``stages`` call it as they are imported.
"""

import os
import platform
import sys

# The newest choices that every x86-64 processor with AVX2 and FMA (2013 and later) can run.
PINNED = {
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def pin() -> bool:
    """Set the variables of PINNED on an x86-64 machine; False where it is too late or another architecture."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    # OpenMP's threads would otherwise spin while they wait, and starve those of the other folds.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if "numpy" in sys.modules:
        return all(os.environ.get(name) == value for name, value in PINNED.items())
    os.environ.update(PINNED)
    return True
