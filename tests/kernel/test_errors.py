"""The errors a user can meet: their messages, in which settings are parts of their own."""

import ast
import pickle
import re

from lockstep.kernel.errors import DataError, Setting
from lockstep.reading.loading import LoadSettings

from workspace import ROOT

READER = sorted((ROOT / "lockstep/reading").glob("*.py"))
NAMED = re.compile(rf"\bload\.({'|'.join(LoadSettings.__struct_fields__)})\b")


def test_a_message_is_its_parts():
    error = DataError("f.csv has 3 lines, ", Setting("load.skip_lines"), " is 9. Lower it.")
    assert str(error) == "f.csv has 3 lines, load.skip_lines is 9. Lower it."
    assert [part for part in error.parts if isinstance(part, Setting)] == ["load.skip_lines"]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_reader_names_settings_as_such():
    """A name within a text could not be shown as the flag of a command."""
    settings = []
    for path in (path for path in READER if path.name != "profile.py"):  # whose "load.drop" is no message
        tree = ast.parse(path.read_text())
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        own = [call.args[0] for call in calls if ast.unparse(call.func) == "Setting"]
        raised = [node for call in calls for part in call.args for node in ast.walk(part)]
        named = [node for node in raised if isinstance(node, ast.Constant) and NAMED.search(str(node.value))]
        assert [node.value for node in named if node not in own] == [], path
        settings += [node.value for node in own]
    assert len(settings) > 20
    assert all(NAMED.fullmatch(setting) for setting in settings)
