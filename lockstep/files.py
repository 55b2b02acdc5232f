"""Outputs are written whole or not at all: to a temporary file beside them, flushed to disk, renamed at the end."""

import csv
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Outputs:
    """The outputs of one stage; they appear together when the ``with`` block ends, or not at all if it raises.

    >>> with Outputs() as outputs:                                                               # doctest: +SKIP
    ...     outputs.json(Path("metrics/iris.json"), {"accuracy": 0.93})
    """

    def __init__(self) -> None:
        self._written: list[tuple[Path, Path]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        done: list[Path] = []
        try:
            if kind is None:
                for temporary, path in self._written:
                    temporary.replace(path)
                    done.append(path)
        except OSError:
            for path in done:
                path.unlink(missing_ok=True)
            raise
        finally:
            for temporary, _ in self._written:
                temporary.unlink(missing_ok=True)

    def write(self, path: Path, writer: Callable[[Path], object]) -> None:
        """Let ``writer`` write a temporary file that becomes ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        self._written.append((temporary, path))
        writer(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())

    def json(self, path: Path, content: Mapping[str, Any]) -> None:
        """``content`` as JSON, keys in their order, full precision of floats."""
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        self.write(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))

    def csv(self, path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A small table as CSV; floats in their shortest form that reads back the same, None as an empty cell."""

        def writer(temporary: Path) -> None:
            with temporary.open("w", encoding="utf-8", newline="") as handle:
                out = csv.writer(handle, lineterminator="\n")
                out.writerow(columns)
                out.writerows(rows)

        self.write(path, writer)
