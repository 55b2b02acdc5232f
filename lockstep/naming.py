"""What model files are called: apart from models.py, so that stages that save none do not depend on it."""

from typing import Annotated, Literal

import msgspec

from lockstep.settings import Settings


class ModelFile(Settings, frozen=True):
    """The keys of the section ``train`` that make up the model file's name."""

    model: str
    kind: Literal["classifier", "regressor"]
    version: Annotated[int, msgspec.Meta(ge=1)]


def model_file_name(model: str, kind: str, version: int) -> str:
    """``random_forest_classifier_v1.joblib``."""
    return f"{model}_{kind}_v{version}.joblib"
