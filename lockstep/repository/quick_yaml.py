"""What DVC reads and writes over and over, read and written more quickly, with the same result.

Its lock, for each stage that runs: by a parser that keeps no comments, of which a lock has none, and anew of what has
changed alone. All else, such as params.yaml once for each stage: one text is parsed once, and so is an expression
within ``${}`` of dvc.yaml.
"""

import copy
import io
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from lockstep.kernel.lock_file import LOCK_FILE

_STAGE = re.compile(r"^  (?=[^ ])", re.MULTILINE)
"""Where a stage begins, in what stands below ``stages:``."""
_STAGES = "stages:\n"
_ALIAS = re.compile(r"^ *(?:- |.*: )?[&*]id[0-9]", re.MULTILINE)
"""What stands for the same in another place, perhaps of another stage."""
_REMEMBERED = 16
"""Texts whose content is remembered: those that were wanted last."""


def quicken_yaml(module: Any, pipelines: Any, expressions: Any) -> None:
    """Have DVC's modules read and write so.

    Args:
        module: dvc.utils.serialize._yaml.
        pipelines: dvc.utils.strictyaml, which reads dvc.yaml, its lock and .dvc files.
        expressions: dvc.parsing.interpolate.
    """
    module.parse_yaml = pipelines.parse_yaml = _remembering(module.parse_yaml, module.YAMLFileCorruptedError)
    expressions.parse_expr = lru_cache(expressions.parse_expr)
    _Locks(module)


def _remembering(parse: Callable[..., Any], corrupted: type[Exception]) -> Callable[..., Any]:
    @lru_cache(_REMEMBERED)
    def parse_new(text: str) -> Any:
        return parse(text, "")

    def parse_once(text: str, path: str, typ: str = "safe") -> Any:
        if typ != "safe":
            return parse(text, path, typ)
        try:
            return copy.deepcopy(parse_new(text))  # DVC may change what it is given
        except corrupted:
            return parse(text, path)  # whose error names the file

    return parse_once


class _Locks:
    """In place of two functions of the module's: it takes text from what it read into what it writes.

    Attributes:
        read: the lock that was read last, whose stages DVC replaces, and does not change.
        written: {stage: (its entry, its lines)} of that lock.
    """

    def __init__(self, module: Any) -> None:
        self._parse, self._parse_keeping, self._dump = module.parse_yaml, module.parse_yaml_for_update, module._dump
        self._read: Any = None
        self._written: dict[str, tuple[Any, str]] = {}
        self._known: str | None = None  # the text that these stand for
        module.parse_yaml_for_update, module._dump = self.parse, self.dump

    def parse(self, text: str, path: str) -> Any:
        if Path(path).name != LOCK_FILE.name:
            return self._parse_keeping(text, path)
        if text == self._known:
            self._read = {**self._read, "stages": {name: entry for name, (entry, _) in self._written.items()}}
            return self._read
        self._known = None
        self._read = self._parse(text, path)
        _, below, rest = text.partition(f"\n{_STAGES}")
        stages = self._read.get("stages") if isinstance(self._read, dict) else None
        lines = _by_stage(rest)
        self._written = {}
        if below and isinstance(stages, dict) and len(stages) == len(lines) and not _ALIAS.search(rest):
            self._written = dict(zip(stages, zip(stages.values(), lines, strict=True), strict=True))
        return self._read

    def dump(self, data: Any, stream: TextIO) -> None:
        if data is not self._read or list(data) != ["schema", "stages"] or not (self._written and data["stages"]):
            self._dump(data, stream)
            return
        stages: Mapping[str, Any] = data["stages"]
        lines = {name: text for name, (entry, text) in self._written.items() if stages.get(name) is entry}
        changed: dict[str, Any] = {name: entry for name, entry in stages.items() if name not in lines}
        head = io.StringIO()
        self._dump({"schema": data["schema"]}, head)
        if changed:
            new = io.StringIO()
            self._dump({"stages": changed}, new)
            text = new.getvalue()
            lines |= dict(zip(changed, _by_stage(text.removeprefix(_STAGES)), strict=True))
            changed = self._parse(text, str(LOCK_FILE))["stages"]
        text = "".join([head.getvalue(), _STAGES, *(lines[name] for name in stages)])
        stream.write(text)
        self._written = {name: (changed.get(name, entry), lines[name]) for name, entry in stages.items()}
        self._known = None if _ALIAS.search(text) else text


def _by_stage(text: str) -> list[str]:
    """The lines of each stage."""
    begins = [match.start() for match in _STAGE.finditer(text)]
    ends = [*begins[1:], len(text)]
    return [text[begin:end] for begin, end in zip(begins, ends, strict=False)]
