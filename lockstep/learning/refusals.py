"""What scikit-learn refuses to do with some rows, said as a DataError."""

import contextlib
from collections.abc import Iterator
from typing import Any

from lockstep.kernel.errors import DataError
from lockstep.kernel.portable import estimator_of


@contextlib.contextmanager
def refusals_of(model: Any, doing: str) -> Iterator[None]:
    """While the block runs, turn a ValueError of scikit-learn's into a DataError that says which estimator raised it.

    Args:
        model: an estimator, or a pipeline that ends in one.
        doing: what the block does with it: "fit", "predict by".
    """
    try:
        yield
    except ValueError as error:
        what = f"{type(estimator_of(model)).__name__} with these hyperparameters on these rows"
        raise DataError(f"scikit-learn cannot {doing} {what}: {error}") from error
