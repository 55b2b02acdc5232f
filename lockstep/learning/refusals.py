"""What the library of an estimator refuses to do with some rows, said as a DataError."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lockstep.kernel.errors import DataError


@contextlib.contextmanager
def refusals_of(model: Any, doing: str) -> Iterator[None]:
    """While the block runs, turn what its library raises into a DataError that says which estimator raised it.

    Args:
        model: an estimator, or a pipeline that ends in one.
        doing: what the block does with it: "fit", "predict by".
    """
    estimator = model[-1] if hasattr(model, "steps") else model
    try:
        yield
    except Exception as error:
        # LightGBM's own error is no ValueError.
        if not isinstance(error, ValueError) and not type(error).__module__.startswith("lightgbm"):
            raise
        library = type(estimator).__module__.partition(".")[0].replace("sklearn", "scikit-learn")
        what = f"{type(estimator).__name__} with these hyperparameters on these rows"
        raise DataError(f"{library} cannot {doing} {what}: {error}") from error
