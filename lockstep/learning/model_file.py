"""What model files and their sidecars are called: for stages that name one and open none, too."""

from pathlib import Path
from typing import Annotated, Literal

from lockstep.kernel.settings import Settings

import msgspec


class ModelFile(Settings, frozen=True):
    """The keys of the section ``train`` that make up the model file's name."""

    model: str
    kind: Literal["classifier", "regressor"]
    version: Annotated[int, msgspec.Meta(ge=1)]


def model_file_name(model: str, kind: str, version: int) -> str:
    """``random_forest_classifier_v1.joblib``."""
    return f"{model}_{kind}_v{version}.joblib"


def sidecar_of(path: Path) -> Path:
    """Where the sidecar of a model file stands: ``random_forest_classifier_v1.joblib.json``."""
    return path.with_name(f"{path.name}.json")
