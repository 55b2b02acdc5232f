"""Which parts of two files of one kind differ: steps of models, columns of tables, keys of JSON, lines of texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.repository.hashes import digest

import joblib


def differences_inside(before: Path, after: Path) -> Iterator[str]:
    """A line for each part that differs. Both files must be known: models are unpickled."""
    (kind, old), (_, new) = _parts(before), _parts(after)
    changed = [name for name in old | new if joblib.hash(old.get(name)) != joblib.hash(new.get(name))]
    for name in changed:
        yield f"{kind} {name!r}: {_shown(old, name)} → {_shown(new, name)}"
    if not changed:
        yield f"no {kind} differs, only how the file was written (the order of attributes, the compression)"


def _parts(path: Path) -> tuple[str, dict[Any, Any]]:
    """What the parts of such a file are called, and the parts."""
    match path.suffix:
        case ".joblib":
            from lockstep.saving.joblib_file import load_joblib

            model = load_joblib(path, sha256=digest(path, "sha256"))
            return "step", dict(getattr(model, "steps", [("model", model)]))
        case ".parquet":
            import pandas as pd

            return "column", dict(pd.read_parquet(path).items())
        case ".json":
            return "key", dict(json.loads(path.read_text(encoding="utf-8")))
        case _:
            return "line", dict(enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1))


def _shown(parts: dict[Any, Any], name: Any) -> str:
    """The part in at most 60 characters; of an object or a column its type and the start of its hash."""
    if name not in parts:
        return "none"
    value = parts[name]
    if not isinstance(value, str | float | int | list | dict | None):
        return f"{type(value).__name__} with hash {str(joblib.hash(value))[:7]}"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
