"""Which files are those of one problem: the table, its contract, own features, what the stages and ``watch`` write."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lockstep.kernel.paths import CONTRACTS, PIPELINE, features_of
from lockstep.kernel.strict_yaml import read_yaml

RAW = Path("data/raw")
IGNORED = RAW / ".gitignore"
NO_FEATURES = '''\
"""Your own features of the problem '{name}': what is made of its rows before anything else is done with them.

To have some, define them below. They are used in training, cross-validation, evaluation and ``predict`` alike, and are
part of the saved model (docs/own-code.md). For example:

    import pandas as pd

    def features(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(area=rows["width"] * rows["length"])
"""
'''
"""A file that defines no features: DVC tracks it, so that it will see when it does."""


class ProblemFiles(NamedTuple):
    """The files of a problem, there or not.

    Attributes:
        outputs: what the stages write, by dvc.yaml: files, and folders that are the problem's alone.
        watch: the record of the batches that ``watch`` has seen.
        data: the table, and the pointer that tells DVC of it; None if another problem uses them, or DVC tracks none.
        kept: the list of its test rows that ``split.kept`` names; None if there is none.
    """

    contract: Path
    features: Path
    watch: Path
    outputs: list[Path]
    data: tuple[Path, Path] | None
    kept: Path | None

    def present(self) -> list[Path]:
        """Those that are there."""
        paths = [self.contract, self.features, self.watch, *(self.data or ()), *([self.kept] if self.kept else [])]
        paths += self.outputs
        return [path for path in paths if path.exists()]


def files_of(name: str, problems: Mapping[str, dict[str, Any]]) -> ProblemFiles:
    """The files of the problem ``name``, which is in ``problems``."""
    data = _table_of(problems[name])
    used = data in [_table_of(sections) for other, sections in problems.items() if other != name]
    pointer = Path(f"{data}.dvc")
    own = None if data is None or used or not pointer.exists() else (data, pointer)
    kept = (problems[name].get("split") or {}).get("kept")
    listed = Path(kept["file"]) if kept and kept.get("file") == kept_rows_of(name).as_posix() else None
    return ProblemFiles(
        CONTRACTS / f"{name}.yaml", features_of(name), watch_record_of(name), outputs_of(name), own, listed
    )


def kept_rows_of(name: str) -> Path:
    """Where ``update`` lists the test rows of a problem that stay test rows."""
    return Path(f"data/kept/{name}.txt")


def watch_record_of(name: str) -> Path:
    """Where ``watch`` keeps its record of the problem ``name``."""
    return Path(f"metrics/{name}_watch.csv")


def outputs_of(name: str) -> list[Path]:
    """What the stages write for the problem ``name``: ``metrics/iris.json``, the whole of ``models/iris``, ..."""
    found: dict[Path, None] = {}
    for path in _outputs(read_yaml(PIPELINE)):
        parts = PurePosixPath(path).parts
        ours = next((number for number, part in enumerate(parts) if "${key}" in part), None)
        if ours is not None and "${" not in (own := "/".join(parts[: ours + 1]).replace("${key}", name)):
            found[Path(own)] = None
    return list(found)


def _outputs(pipeline: Any) -> Iterator[str]:
    """The paths that dvc.yaml says stages write, with ``${key}`` in them where there is one for each problem."""
    for stage in pipeline["stages"].values():
        for kind in ("outs", "metrics", "plots"):
            for entry in stage.get("do", {}).get(kind, []):
                yield entry if isinstance(entry, str) else next(iter(entry))


def _table_of(sections: dict[str, Any]) -> Path | None:
    path = (sections.get("load") or {}).get("path")
    return Path(path) if isinstance(path, str) else None


def ignoring(text: str, data: Path, instead: Path | None = None) -> str:
    """The text of data/raw/.gitignore without the line of the table ``data``, or with that of ``instead``."""
    line = rf"^/{re.escape(data.name)}\n"
    return re.sub(line, "" if instead is None else f"/{instead.name}\n", text, flags=re.MULTILINE)
