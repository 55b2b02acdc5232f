"""The out-of-fold predictions of the training rows, as ``cross_validate`` hands them on, ready to decide on."""

from pathlib import Path
from typing import Any, NamedTuple

from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.files import not_made
from lockstep.learning.scoring import DECISION, PROBABILITY, WEIGHT, Predictions, scores_in, values_of

import numpy as np
import pandas as pd


class OutOfFold(NamedTuple):
    """One prediction of each training row, by a model that has not seen it: that of the first repeat.

    Attributes:
        y: (n_rows,) the actual target.
        predictions: of these rows; rows whose model did not know all classes are left out.
        response: (n_rows, n_classes), or (n_rows, 1) of two classes: what scikit-learn calibrates, which is
            ``decision_function`` where the estimator has one, else probabilities; None for a regression, or if it was
            not recorded.
        weights: (n_rows,) how much each row counts; None: all alike.
    """

    y: np.ndarray
    predictions: Predictions
    response: np.ndarray | None
    weights: np.ndarray | None = None


def read_out_of_fold(path: Path) -> pd.DataFrame:
    """Read the file that the stage ``cross_validate`` writes. Raises DataError if there is none, IntegrityError if it
    is another one."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise not_made(path) from None
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path} is no parquet file ({error}). Run 'dvc repro' to remake it.") from None
    if not {"repeat", "actual", "predicted"} <= set(frame):
        raise IntegrityError(f"{path} is not what the stage cross_validate wrote. Run 'dvc repro' to remake it.")
    return frame


def out_of_fold_of(frame: pd.DataFrame, classes: np.ndarray | None, positive: Any) -> OutOfFold:
    """Read what ``cross_validate`` wrote.

    Args:
        frame: see ``cross_validation.out_of_fold``.
        classes: (n_classes,) the model's, in sorted order; None for a regression.
        positive: see Predictions.
    """
    frame = frame[frame["repeat"] == 1]
    if classes is None:
        values = values_of(frame["predicted"]).astype(float)
        y = values_of(frame["actual"]).astype(float)
        return OutOfFold(y, Predictions(values, None, None, None), None, _weights(frame))
    probable = _columns(frame, PROBABILITY, classes)
    decided = _columns(frame, DECISION, classes[1:] if len(classes) == 2 else classes)
    kept = frame
    for names in (probable, decided):
        kept = kept.dropna(subset=names)
    probabilities = kept[probable].to_numpy(dtype="float64") if probable else None
    response = kept[decided].to_numpy(dtype="float64") if decided else None
    if response is None and probabilities is not None:
        response = probabilities[:, 1:] if len(classes) == 2 else probabilities
    scores = scores_in(kept, classes, probabilities)
    predictions = Predictions(values_of(kept["predicted"]), classes, probabilities, scores, positive)
    return OutOfFold(values_of(kept["actual"]), predictions, response, _weights(kept))


def _weights(frame: pd.DataFrame) -> np.ndarray | None:
    return frame[WEIGHT].to_numpy(dtype="float64") if WEIGHT in frame else None


def _columns(frame: pd.DataFrame, prefix: str, classes: np.ndarray) -> list[str]:
    """The columns of all ``classes``; none if one lacks."""
    names = [f"{prefix}{name}" for name in classes]
    return names if set(names) <= set(map(str, frame)) else []
