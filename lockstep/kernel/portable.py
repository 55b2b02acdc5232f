"""Pins the choices of NumPy, OpenBLAS and Arrow that change results, so that all x86-64 processors give the same bits.

OpenBLAS picks its kernels, NumPy and Arrow their SIMD level, by the processor they find, and OpenBLAS cuts long sums
into as many parts as it has threads: each changes the last bits of sums, and with them some models. All read the
environment when they are loaded, so this runs before anything imports NumPy: the packages ``lockstep`` and ``stages``
call it as they are imported. Worker processes inherit the environment. Threads of scikit-learn and joblib stay as many
as there are processors: what they compute does not depend on it, but for what ``fixed_threads`` is for.
"""

import contextlib
import os
import platform
import sys
from collections.abc import Iterator
from typing import Any

PINNED = {
    # The newest choices that every processor with the features of _NEEDED can run.
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ARROW_USER_SIMD_LEVEL": "AVX2",
    # Products of tall matrices (20,000 rows and more) have other last bits with two threads than with one.
    "OPENBLAS_NUM_THREADS": "1",
}
_NEEDED = ("avx2", "fma", "bmi1", "bmi2", "f16c", "abm", "movbe")
"""What makes an x86-64 processor one of level v3 (2013 and later), as Linux names it."""
_CPUINFO = "/proc/cpuinfo"


def pin() -> bool:
    """Set the variables of PINNED; False where that cannot work: too late, another architecture, an older processor."""
    # OpenMP's threads would otherwise spin while they wait, and starve those of the other folds.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform == "linux":
        # Arrow's own choice keeps a third of a table more than it is large, once it is read.
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    if _unfit() is not None:
        return False
    if "numpy" in sys.modules:
        return all(os.environ.get(name) == value for name, value in PINNED.items())
    os.environ.update(PINNED)
    return True


def shortcoming() -> str | None:
    """Why the last bits of results may be others here than elsewhere, in words; None where they are not."""
    if (unfit := _unfit()) is not None:
        return unfit
    if sys.platform != "linux":
        return f"{platform.system()} computes with other mathematical libraries than Linux"
    return None if pin() else "NumPy was imported before lockstep: import lockstep first"


def _unfit() -> str | None:
    """Why this machine's processor cannot be pinned, or None."""
    machine = platform.machine().lower()
    if machine not in ("x86_64", "amd64"):
        return f"the processor is of the architecture {machine}, not x86-64"
    flags = processor_flags()
    missing = [name for name in _NEEDED if name not in flags] if flags else []
    return f"the processor lacks {', '.join(missing)}, which x86-64 processors have since 2013" if missing else None


def processor_flags() -> frozenset[str]:
    """The features of the first processor, as Linux names them; empty where they cannot be read."""
    try:
        with open(_CPUINFO, encoding="ascii", errors="replace") as handle:  # noqa: PTH123 - pathlib costs an import
            text = handle.read(1 << 13)  # the first processor's entry is far shorter, and all have the same
    except OSError:
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.partition(":")[2].split())


_AROUND = ("FixedThresholdClassifier", "CalibratedClassifierCV", "FrozenEstimator")
"""scikit-learn's classes that lie around an estimator which they leave as it was fitted."""


def estimator_of(model: Any) -> Any:
    """The estimator that was fitted: of a pipeline its last step, without what decides or calibrates around it."""
    estimator = model[-1] if hasattr(model, "steps") else model
    while type(estimator).__name__ in _AROUND:
        estimator = estimator.estimator
    return estimator


@contextlib.contextmanager
def openmp_threads(most: int) -> Iterator[None]:
    """While the block runs, let the calling thread use so many of OpenMP's threads; -1: as many as it would."""
    if most == -1:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(most, user_api="openmp"):
        yield


@contextlib.contextmanager
def fixed_threads(model: Any) -> Iterator[None]:
    """While the block runs, let ``model``, an estimator or a pipeline that ends in one, predict with one thread if its
    predictions depend on how many there are.

    Only nearest neighbours do, alone or as members of a vote: scikit-learn's brute-force search cuts the rows among
    OpenMP's threads, and which of several equally distant rows it takes depends on the cut.
    """
    estimator = estimator_of(model)
    members = [member for _, member in getattr(estimator, "estimators", ())]
    with openmp_threads(1 if any(hasattr(one, "kneighbors") for one in (estimator, *members)) else -1):
        yield
