"""The settings of the stage ``evaluate``."""

from typing import Annotated

from lockstep.kernel.settings import Seed, Settings
from lockstep.learning.scoring import Average

import msgspec


class EvaluateSettings(Settings, frozen=True):
    """The section ``evaluate``; what each key means stands in params.yaml."""

    average: Average = "macro"
    metrics: tuple[str, ...] = ()
    importance_repeats: Annotated[int, msgspec.Meta(ge=1)] = 5
    seed: Seed = 42
