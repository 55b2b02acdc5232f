"""What an estimator refuses to do with some rows, said as a DataError."""

import contextlib
import errno
from collections.abc import Iterator
from typing import Any

from lockstep.kernel.errors import DataError, LockstepError, lack_of_memory
from lockstep.kernel.portable import estimator_of
from lockstep.learning.own_code import path_of, said_of

_MACHINES = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
"""The numbers of an OSError that no code can help."""


@contextlib.contextmanager
def refusals_of(model: Any, doing: str) -> Iterator[None]:
    """While the block runs, turn a ValueError of scikit-learn's into a DataError that says which estimator raised it;
    of code that is the user's own, or another library's, any error. A lack of memory, or of another thing of the
    machine's, is no refusal: it is a MachineError, or the OSError that it was.

    Args:
        model: an estimator, or a pipeline that ends in one.
        doing: what the block does with it: "fit", "predict by".
    """
    estimator = estimator_of(model)
    try:
        yield
    except LockstepError:
        raise
    except Exception as error:
        if (short := lack_of_memory(error, f"{doing} {type(estimator).__name__}")) is not None:
            raise short from error
        said = said_of(error)
        if isinstance(error, OSError) and (error.errno in _MACHINES or not said):
            raise
        if said:
            raise DataError(f"{said}. Correct the file.") from error
        message = " ".join(str(error).split())
        if path := path_of(estimator):
            name = type(estimator).__name__
            what = doing.removesuffix(" by")
            raise DataError(f"{path}: {name} cannot {what} these rows: {message}. Correct the file.") from error
        library = type(estimator).__module__.partition(".")[0]
        if not isinstance(error, ValueError):
            if library == "sklearn":
                raise
            message = f"{type(error).__name__}: {message}"
        what = f"{type(estimator).__name__} with these hyperparameters on these rows"
        library = library.replace("sklearn", "scikit-learn")
        raise DataError(f"{library} cannot {doing} {what}: {message}") from error
