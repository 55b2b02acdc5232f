"""``python -m publishing.commands_page``: docs/commands.md, from what the commands say of themselves.

Each command is asked for its ``--help``, of which the page takes the usage; purpose and example are those of
``lockstep.commands.COMMANDS``, which ``--help`` shows too.
"""

import contextlib
import io
import os
import re
import textwrap
from pathlib import Path
from unittest import mock

from lockstep.__main__ import main
from lockstep.commands import COMMANDS, ROOMS, Room, example_of

PAGE = Path(__file__).parent.parent / "docs/commands.md"
_WIDTH = 100
"""Of the lines of usage, in characters."""
_BEGINNING = """\
# Every command

{count} commands stand beside DVC's own. `python -m lockstep COMMAND --help` says what each option means.
This page is made by `make pages`, from the commands themselves.

{tables}
"""
_COMMAND = """
## {name}

{purpose}

```
{usage}
```

For example: `{example}`
"""


def page() -> str:
    """The text of docs/commands.md."""
    tables = "\n\n".join(_table(room) for room in ROOMS.values())
    parts = [_BEGINNING.format(count=len(COMMANDS), tables=tables)]
    for name, command in COMMANDS.items():
        purpose = f"{command.purpose[0].upper()}{command.purpose[1:]}."
        parts.append(_COMMAND.format(name=name, purpose=purpose, usage=_usages(name), example=example_of(name)))
    return "".join(parts)


def _table(room: Room) -> str:
    """The commands of a room, with what each is for."""
    rows = (f"| [{name}](#{name}) | {command.purpose} |" for name, command in room.commands.items())
    return "\n".join([f"| {room.title[0].upper()}{room.title[1:]} | |", "|---|---|", *rows])


def _usages(name: str) -> str:
    """How to call a command; one with commands of its own: how to call each of these."""
    usage = _usage(name)
    own = re.search(r"\{([\w,]+)\} \.\.\.$", usage)
    usages = [_usage(name, each) for each in own[1].split(",")] if own else [usage]
    return "usage: " + "\n       ".join(_wrapped(line) for line in usages)


def _usage(*command: str) -> str:
    """The first paragraph of a command's --help, in one line, without the option -h that all have."""
    shown = io.StringIO()
    # As wide as never to be wrapped: where argparse wraps depends on Python's version.
    with (
        mock.patch.dict(os.environ, COLUMNS="10000"),
        contextlib.redirect_stdout(shown),
        contextlib.suppress(SystemExit),
    ):
        main([*command, "--help"])
    usage = " ".join(shown.getvalue().partition("\n\n")[0].split())
    return usage.removeprefix("usage: ").replace(" [-h]", "")


def _wrapped(usage: str) -> str:
    """The usage in lines, of which none is cut within brackets."""
    glued = re.sub(r"\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]", lambda part: part[0].replace(" ", "\0"), usage)
    lines = textwrap.wrap(glued, _WIDTH, subsequent_indent=" " * 11, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
