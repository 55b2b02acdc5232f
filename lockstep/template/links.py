"""Links of Markdown documents, for documents that move or whose neighbours do."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

_LINK = re.compile(r"!?\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*)\]\((?!\w+:)([^)#\s]+)([^)\s]*)\)")


def relinked(text: str, old: str, new: str, moved: Mapping[str, str], is_gone: Callable[[str], bool]) -> str:
    """The text of the document ``old``, which becomes ``new``, with links that lead to the same files as before.

    Args:
        text: Markdown.
        old: the document's path in the repository.
        new: its path from now on.
        moved: the new paths of files that move, by their old ones.
        is_gone: whether nothing is at a path from now on (of what moves, the new one); a link to it becomes its words.
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        path = os.path.normpath(PurePosixPath(old).parent / target)
        path = moved.get(path, path)
        if is_gone(path):
            return words
        shown = "!" if match[0].startswith("!") else ""
        return f"{shown}[{words}]({Path(os.path.relpath(path, PurePosixPath(new).parent)).as_posix()}{anchor})"

    return _LINK.sub(link, text)
