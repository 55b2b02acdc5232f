"""Which files of the user's own code the settings of a problem name, and the record of them that ``check`` writes.

A stage that runs such files depends on this record, not on their folder: it reruns if one of them changed, and for no
other file there. Nothing of them is run for that. What ``check`` would write is known before it does, from the settings
and the bytes of the files.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from lockstep.kernel.errors import IntegrityError

CHECKED = Path("data/checked")
"""Where ``check`` writes."""
FOLDERS = ("estimators", "scorers")
"""The folders of which settings name files."""


def used_files(sections: Any, folder: str) -> list[str]:
    """The files of ``folder`` that a problem's sections in params.yaml name, sorted; sections may be wrong."""
    texts = [_at(sections, "train", "estimator")] if folder == "estimators" else _at(sections, "evaluate", "metrics")
    named = [text.partition(":")[0] for text in texts if isinstance(text, str)] if isinstance(texts, list) else []
    paths = {PurePosixPath(path) for path in named}  # one way to write each: a//b is a/b
    return sorted(str(path) for path in paths if path.parts[:-1] == (folder,) and path.suffix == ".py")


def _at(sections: Any, section: str, key: str) -> Any:
    values = sections.get(section) if isinstance(sections, dict) else None
    return values.get(key) if isinstance(values, dict) else None


def code_record(sections: Any, folder: str, find_md5: Callable[[str], str | None]) -> str:
    """The record of the files of ``folder`` that a problem uses: JSON, the MD5 of each.

    Args:
        sections: of the problem, in params.yaml.
        find_md5: gives the MD5 of a file; None where there is none.
    """
    return json.dumps({path: find_md5(path) for path in used_files(sections, folder)}, indent=2) + "\n"


def parse_record(content: bytes, where: str) -> dict[str, str | None]:
    """The MD5 of each file, by its path. Raises IntegrityError if it is no record; ``where`` is for the message."""
    try:
        return {str(path): md5 if md5 is None else str(md5) for path, md5 in json.loads(content).items()}
    except (ValueError, AttributeError):
        raise IntegrityError(f"{where} is not what the stage check writes. Run 'dvc repro --force check'.") from None


def is_record(path: str) -> bool:
    """Whether ``check`` writes a record there: data/checked/estimators/iris.json."""
    pure = PurePosixPath(path)
    return pure.parent.parent == PurePosixPath(CHECKED) and pure.parent.name in FOLDERS and pure.suffix == ".json"


def expected_record(path: str, params: Mapping[str, Any], find_md5: Callable[[str], str | None]) -> bytes:
    """What ``check`` would write at ``path``, which is a record, by these settings and files.

    Args:
        params: the content of params.yaml.
        find_md5: as of code_record.
    """
    pure, problems = PurePosixPath(path), params.get("problems")
    sections = problems.get(pure.stem) if isinstance(problems, dict) else None
    return code_record(sections, pure.parent.name, find_md5).encode()
