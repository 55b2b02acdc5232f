"""Names that are none: the commands around DVC say which there are, before DVC or Dask says less."""

from lockstep.commands.pipeline import plots, repro, worker
from lockstep.kernel.errors import SettingsError

import pytest
from workspace import ROOT


@pytest.mark.parametrize(
    ("command", "argument", "message"),
    [
        (repro, "report@irs", "params.yaml has no problem 'irs'.* Did you mean 'iris'"),
        (plots, "nowhere", "There is no revision 'nowhere'.* Allowed: a commit, branch,"),
        (worker, "10.0.0.1", "'10.0.0.1' is no address of a scheduler. Give one such as tcp://10.0.0.1:8786"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_allowed(command, argument, message, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(SettingsError, match=message):
        command.main([argument])
