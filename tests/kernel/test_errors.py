"""The errors a user can meet: their messages, in which settings are parts of their own."""

import ast
import pickle
import re

from lockstep.kernel.errors import DataError, Message, Setting, did_you_mean
from lockstep.learning.cross_validation import CrossValidateSettings
from lockstep.reading.loading import LoadSettings
from lockstep.steps.splitting.parts import SplitSettings

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
