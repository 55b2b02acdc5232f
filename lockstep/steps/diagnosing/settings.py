"""The settings of the stage ``diagnose``."""

from typing import Annotated

from lockstep.kernel.settings import Seed, Settings

import msgspec


class DiagnoseSettings(Settings, frozen=True):
    """The section ``diagnose``; params.yaml says what each key means."""

    top_features: Annotated[int, msgspec.Meta(ge=0, le=12)] = 4
    slices: Annotated[int, msgspec.Meta(ge=0, le=50)] = 10
    slice_rows: Annotated[int, msgspec.Meta(ge=2)] = 20
    worst_rows: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    learning_curve_rows: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 2000
    seed: Seed = 42
