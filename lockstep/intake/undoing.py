"""What changes several files changes all of them, or none."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


@contextlib.contextmanager
def undone_on_error(
    changed: Iterable[Path], *, created: Iterable[Path] = (), moved: Mapping[Path, Path] | None = None
) -> Iterator[None]:
    """If the block fails, everything is as it was.

    Args:
        changed: the files that the block writes, those of them that there are.
        created: those that are not there before.
        moved: files and folders, each with where it is moved to when the block has ended.
    """
    saved = {file: file.read_bytes() for file in changed if file.exists()}
    done: list[tuple[Path, Path]] = []
    try:
        yield
        for source, place in (moved or {}).items():
            place.parent.mkdir(parents=True, exist_ok=True)
            source.rename(place)
            done.append((source, place))
    except BaseException:
        for source, place in reversed(done):
            place.rename(source)
        for path in created:
            path.unlink(missing_ok=True)
        for file, content in saved.items():
            file.write_bytes(content)
        raise
