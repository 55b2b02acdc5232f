"""The errors a user can meet: their messages, in which settings are parts of their own."""

import ast
import errno
import pickle
import re

from lockstep.kernel.errors import DataError, MachineError, Message, Setting, did_you_mean, lack_of_memory
from lockstep.learning.cross_validation import CrossValidateSettings
from lockstep.reading.loading import LoadSettings
from lockstep.steps.splitting.parts import SplitSettings

import numpy as np
import pyarrow as pa
import pytest
from workspace import ROOT

RAISED_BY_ADD = [
    *sorted((ROOT / "lockstep/reading").glob("*.py")),
    *(
        ROOT / "lockstep" / file
        for file in ("tables/table.py", "steps/splitting/parts.py", "learning/cross_validation.py")
    ),
]
"""Whose messages ``add`` shows, with flags for settings; but for the contract's, which there is none of yet."""
SECTIONS = {"load": LoadSettings, "split": SplitSettings, "cross_validate": CrossValidateSettings}
NAMED = re.compile(
    "|".join(
        [rf"\b{section}\.({'|'.join(kind.__struct_fields__)})\b" for section, kind in SECTIONS.items()]
        + ["type: (date|number|string) in the contract"]
    )
)


def test_a_message_is_its_parts():
    parts = ("f.csv has 3 lines, ", Setting("load.skip_lines"), " is 9. Lower it.")
    error = DataError(*parts)
    assert str(Message(*parts)) == str(error)
    assert str(error) == "f.csv has 3 lines, load.skip_lines is 9. Lower it."
    assert [part for part in error.parts if isinstance(part, Setting)] == ["load.skip_lines"]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("survived", " Did you mean 'Survived'?"),
        ("AGE", " Did you mean 'Age'?"),
        (" fare paid", " Did you mean 'fare_paid'?"),
        ("zip", ""),
    ],
)
def test_did_you_mean(word, said):
    assert did_you_mean(word, ["Survived", "Age", "fare_paid"]) == said


def test_settings_are_named_as_such():
    """A name within a text could not be shown as the flag of a command."""
    settings = []
    for path in (path for path in RAISED_BY_ADD if path.name != "profile.py"):  # whose "load.drop" is no message
        tree = ast.parse(path.read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        own = [call.args[0] for call in calls if ast.unparse(call.func) == "Setting"]
        raised = [node for call in calls for part in call.args for node in ast.walk(part)]
        named = [node for node in raised if isinstance(node, ast.Constant) and NAMED.search(str(node.value))]
        assert [node.value for node in named if node not in own] == [], path
        settings += [node.value for node in own]
    assert len(settings) > 20
    assert all(NAMED.fullmatch(setting) for setting in settings)


LightGBMError = type("LightGBMError", (Exception,), {})
XGBoostError = type("XGBoostError", (ValueError,), {})


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((2**40,), np.dtype(float)),
        pa.ArrowMemoryError("malloc of size 4194304 failed"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        LightGBMError("bad allocation"),
        XGBoostError("[12:00:00] src/common/io.cc:1: std::bad_alloc"),
        XGBoostError("Failed to allocate 12 bytes"),
        ImportError("libscipy_openblas.so: failed to map segment from shared object"),
    ],
)
def test_a_lack_of_memory_is_known_whoever_says_it(error):
    short = lack_of_memory(error, "fit X")
    assert short.exit_code == 4
    assert re.fullmatch(r"not enough memory to fit X \(.+\): close other programs, .* run it again\.", str(short))
    try:
        try:
            raise error
        except Exception:
            raise DataError("t.csv cannot be read. Give yourself permission.") from None
    except DataError as made:
        assert str(lack_of_memory(made, "fit X")) == str(short)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("could not convert string to float: 'out of memory'"),
        KeyError("memory allocation"),
        DataError("column 'out of memory' is empty"),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("no"),
        MachineError("the cluster was lost"),
    ],
)
def test_other_errors_are_no_lack_of_memory(error):
    assert lack_of_memory(error) is None
