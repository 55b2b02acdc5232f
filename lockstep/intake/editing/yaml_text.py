"""Writes YAML that the strict reader, and DVC's, read back as it was meant."""

import re
from typing import Any

from lockstep.kernel.strict_yaml import AMBIGUOUS, SCALARS

import yaml


class _Dumper(yaml.SafeDumper):
    """Quotes the texts that a reader of YAML 1.1 or 1.2 would take for something else; nothing instead of null, as
    DVC writes it."""


for _tag, _pattern, _first in SCALARS:
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
_Dumper.add_implicit_resolver("!ambiguous", re.compile(f"^(?:{AMBIGUOUS.pattern})$"), list("-+0123456789"))
_Dumper.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", ""))
_Dumper.add_representer(  # readers differ in what is a line break, and double quotes escape them all
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def dump_yaml(content: Any, *, flow: bool | None = False) -> str:
    """``content`` as YAML that parse_yaml reads back as it is.

    Args:
        flow: None writes the innermost collections, which then must hold no None, on a line.
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=flow)
