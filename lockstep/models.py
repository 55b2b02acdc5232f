"""Names, saves and loads models."""

from pathlib import Path
from typing import Any

import joblib

from lockstep.errors import DataError, IntegrityError


def model_file_name(model: str, kind: str, version: int) -> str:
    """``random_forest_classifier_v1.joblib``."""
    return f"{model}_{kind}_v{version}.joblib"


def save_model(model: Any, path: Path) -> None:
    """Write ``model``; the same model always gives the same bytes. Compression brings a checksum with it: see load_model."""
    joblib.dump(model, path, compress=3)


def load_model(path: Path) -> Any:
    """Read what save_model wrote. A file that was altered fails its checksum: IntegrityError.

    Loading runs code that the file names: load only files that you or your pipeline wrote.
    """
    try:
        return joblib.load(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise IntegrityError(
            f"{path} is not a model file as it was written ({type(error).__name__}: {error}). Delete it and run 'dvc repro'."
        ) from None
