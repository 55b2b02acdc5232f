"""What differs inside two files of one kind: models, JSON, tables, texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lockstep.provenance.changes import ABSENT, differing
from lockstep.repository.hashes import digest


def differences_inside(before: Path, after: Path) -> Iterator[str]:
    """A line for each difference. Both files must be known: models among them are unpickled."""
    match after.suffix:
        case ".joblib":
            yield from _models(before, after)
        case ".json":
            one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
            for key, a, b in differing("", one, other):
                yield f"{key.removeprefix('.')}: {'absent' if a is ABSENT else a} → {'absent' if b is ABSENT else b}"
        case ".parquet":
            yield from _tables(before, after)
        case _:
            lines = (path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (before, after))
            for number, (a, b) in enumerate(zip(*lines, strict=False), 1):
                if a != b:
                    yield f"line {number}: {a[:60]} → {b[:60]}"


def _models(before: Path, after: Path) -> Iterator[str]:
    """The steps of a pipeline, or the whole model, whose content hashes differently."""
    from lockstep.saving.joblib_file import load_model

    import joblib

    models = [load_model(path, sha256=digest(path, "sha256")) for path in (before, after)]
    old, new = (_steps(model) for model in models)
    changed = [name for name in old | new if joblib.hash(old.get(name)) != joblib.hash(new.get(name))]
    for name in changed:
        kinds = [type(steps[name]).__name__ if name in steps else "none" for steps in (old, new)]
        yield f"step '{name}': {kinds[0]}" + (" with other content" if kinds[0] == kinds[1] else f" → {kinds[1]}")
    if not changed:
        yield "the models are equal; their pickles are not (an attribute's order, or the compression)"


def _steps(model: Any) -> dict[str, Any]:
    return dict(getattr(model, "steps", [("model", model)]))


def _tables(before: Path, after: Path) -> Iterator[str]:
    import pandas as pd

    one, other = (pd.read_parquet(path) for path in (before, after))
    if list(one) != list(other) or len(one) != len(other):
        yield f"{len(one)} rows, {one.shape[1]} columns → {len(other)} rows, {other.shape[1]} columns"
        return
    for name in one:
        if not one[name].equals(other[name]):
            yield f"column '{name}': {(one[name] != other[name]).sum():,} of {len(one):,} rows"
