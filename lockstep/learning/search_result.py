"""What a search hands on to those who use its winner: small, so that they do not depend on the search itself."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.kernel.log import logger
from lockstep.learning.estimators import TrainSettings

import msgspec


def read_winner(path: Path) -> dict[str, Any]:
    """The hyperparameters that the search chose; none where there was no search, or it found nothing better.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is not what the stage tune writes.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return dict(content.get("hyperparameters", {}))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except (ValueError, TypeError, AttributeError):
        raise IntegrityError(f"{path} is not what the stage tune wrote. Run 'dvc repro' to remake it.") from None


def with_winner(settings: TrainSettings, winner: Mapping[str, Any]) -> TrainSettings:
    """The section ``train`` with the winner's hyperparameters in place of, or beside, its own."""
    if not winner:
        return settings
    logger.info("hyperparameters that the search chose: %s", dict(winner))
    return msgspec.structs.replace(settings, hyperparameters={**settings.hyperparameters, **winner})
