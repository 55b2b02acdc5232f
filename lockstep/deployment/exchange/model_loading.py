"""Opens a model file of either kind, for the API and for commands; stages read .joblib files only."""

from pathlib import Path
from typing import Any

from lockstep.deployment.exchange import skops_file
from lockstep.saving import joblib_file
from lockstep.saving.sidecar import read_trusted


def load_model(path: str | Path, *, sha256: str | None = None) -> Any:
    """Load a model file (.joblib, or .skops as ``python -m lockstep export`` writes it), if its bytes are as recorded.

    Args:
        path: the file.
        sha256: the SHA-256 of the file that you trust, in hexadecimal digits; without it, dvc.lock must record the
            file, or a sidecar must be beside it.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is recorded nowhere, it was altered, or it is no model. Nothing in it was run.
    """
    path = Path(path)
    if path.suffix == ".skops":
        return skops_file.loads(read_trusted(path, sha256), str(path))
    return joblib_file.load_joblib(path, sha256=sha256)
