"""docs/commands.md is what the commands say of themselves, and each example is one that its command takes."""

import argparse
import shlex

from lockstep.__main__ import main
from lockstep.commands import COMMANDS, example_of
from publishing.commands_page import PAGE, page

import pytest


def test_the_page_is_that_of_the_commands():
    assert PAGE.read_text(encoding="utf-8") == page(), "type: make pages"


class TakenError(Exception):
    """The arguments were understood; nothing is to be run."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_its_example(name, monkeypatch):
    understand = argparse.ArgumentParser.parse_known_args

    def parse(parser, *given):
        understand(parser, *given)
        raise TakenError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_known_args", parse)
    with pytest.raises(TakenError):
        main(shlex.split(example_of(name))[3:])


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_the_example(name, capsys):
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert capsys.readouterr().out.endswith(f"example:\n  {example_of(name)}\n")
