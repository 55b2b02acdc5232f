"""What an estimator refuses is said of the rows and settings; what the machine lacks is not."""

import errno

from lockstep.kernel.errors import DataError, MachineError
from lockstep.learning import refusals as module
from lockstep.learning.refusals import refusals_of

import pytest
from lightgbm import LGBMClassifier
from sklearn.linear_model import Ridge


def refused(error, model, expected):
    with pytest.raises(expected) as caught, refusals_of(model, "fit"):
        raise error
    return str(caught.value)


@pytest.mark.parametrize("model", [LGBMClassifier(), Ridge()])
@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError("can't start new thread")]
)
def test_a_lack_of_memory_is_the_machines(error, model):
    said = refused(error, model, MachineError)
    assert said.startswith(f"not enough memory to fit {type(model).__name__} (")


def test_an_error_of_the_systems_stays_what_it_is(monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device")
    assert refused(full, LGBMClassifier(), OSError) == str(full)
    monkeypatch.setattr(module, "said_of", lambda error: f"features/p.py line 3: {error}")  # of code of one's own
    assert refused(full, LGBMClassifier(), OSError) == str(full)
    assert "features/p.py line 3" in refused(FileNotFoundError(2, "No such file"), LGBMClassifier(), DataError)


def test_what_a_library_raises_is_said_of_rows_and_settings():
    said = refused(RuntimeError("odd"), LGBMClassifier(), DataError)
    assert said == "lightgbm cannot fit LGBMClassifier with these hyperparameters on these rows: RuntimeError: odd"
