"""Test rows that stay test rows whatever becomes of the data: a file with their numbers, which ``update`` writes.

A row is known by its number in the raw data, whatever columns are read of it; the file says of which data, by MD5.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from lockstep.kernel.errors import DataError, IntegrityError, Setting, SettingsError
from lockstep.kernel.paths import is_safe
from lockstep.kernel.settings import Settings

import msgspec
import numpy as np

_KEPT = Setting("split.kept")


class KeptRows(Settings, frozen=True):
    """The mapping ``split.kept``: the file, and its SHA-256, so that DVC sees when it is another one."""

    file: Annotated[str, msgspec.Meta(min_length=1)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


def kept_rows_text(rows: Iterable[int], md5: str) -> str:
    """What the file says for the test rows of these numbers (from 1) of the data whose MD5 is ``md5``."""
    return "".join([_head(md5), *(f"{row}\n" for row in rows)])


def kept_rows_hash(text: str) -> str:
    """What ``split.kept.sha256`` must be for a file of this text."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_kept_rows(kept: KeptRows, md5: str | None) -> np.ndarray:
    """(n_test,) int64: the numbers of the test rows.

    Args:
        kept: the setting.
        md5: of the raw data of the table that is split; None: they are no file.

    Raises:
        SettingsError: the file is none of the repository.
        DataError: there is none, or it is about other data.
        IntegrityError: it is not the one that the setting means.
    """
    path = Path(kept.file)
    if not is_safe(kept.file):
        raise SettingsError(_KEPT, f".file is {kept.file}, which is no file of the repository.")
    if not path.is_file():
        raise DataError(f"{path}, which ", _KEPT, f" names, does not exist. 'git checkout HEAD -- {path}' brings the "
                        "last commit's back.")  # fmt: skip
    text = path.read_text(encoding="utf-8", errors="replace")
    if kept_rows_hash(text) != kept.sha256:
        raise IntegrityError(
            f"{path} is not the file whose SHA-256 ", _KEPT, f" gives. 'git checkout HEAD -- {path} params.yaml' "
            "brings the last commit's files back."
        )  # fmt: skip
    if md5 is None or not text.startswith(_head(md5)):
        raise DataError(
            f"{path} lists test rows of other data than these (MD5 {md5 or 'unknown: they are no file'}). "
            "'python -m lockstep update' brings changes in, and keeps the list right (docs/updating.md); or leave ",
            _KEPT,
            " empty: then the test rows are drawn anew.",
        )
    return np.array(text.splitlines()[1:], dtype=np.int64)


def _head(md5: str) -> str:
    return f"# test rows, by number, of the data with MD5 {md5}\n"
