"""Fixtures that several test files share."""

import lockstep  # noqa: F401 - first, as everywhere: it pins the processor's choices before anything imports NumPy

# isort: split
import numpy as np
import pandas as pd
import pytest

from lockstep.table import ROW, Table


@pytest.fixture
def make_table():
    """A function that makes a Table of the given columns (lists, arrays or Series), the target being ``y``."""

    def make(columns, task="classification", **own):
        frame = pd.DataFrame(columns)
        texts = [name for name in frame if isinstance(frame[name].dtype, pd.StringDtype)]
        frame = frame.astype(dict.fromkeys(texts, "str"))
        return Table(frame.set_axis(pd.Index(np.arange(1, len(frame) + 1), name=ROW)), "y", task, **own)

    return make
