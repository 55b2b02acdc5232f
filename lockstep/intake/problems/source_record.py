"""What a table was made of, where it is a snapshot: recorded in the .dvc file that tracks it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.intake.editing.yaml_entries import with_setting
from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.kernel.lock_file import md5_of
from lockstep.kernel.strict_yaml import parse_yaml


def record_source(pointer: Path, data: Path, source: Mapping[str, Any]) -> None:
    """Write into ``pointer`` that ``data``, as they are now, were made of ``source``, in place of an earlier record.

    DVC keeps the record when the data change: the hash in it says of which content it is true.
    """
    text = pointer.read_bytes().decode()
    record = {"snapshot_md5": md5_of(data), **source}
    if "meta" in parse_yaml(text.encode(), pointer):
        text = with_setting(text, pointer, ["meta", "source"], record)
    else:
        text += dump_yaml({"meta": {"source": record}})
    pointer.write_bytes(text.encode())
