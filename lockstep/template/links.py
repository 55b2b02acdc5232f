"""Links of Markdown documents, for documents that move or whose neighbours do."""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

_LINK = re.compile(r"!?\[((?:[^\[\]]|!?\[[^\]]*\]\([^)]*\))*)\]\((?!\w+:)([^)#\s]+)([^)\s]*)\)")


def relinked(text: str, old: str, new: str, moved: Mapping[str, str], there: Collection[str]) -> str:
    """The text of the document ``old``, which becomes ``new``, with links that lead to the same files as before.

    Args:
        text: Markdown.
        old: the document's path in the repository.
        new: its path from now on.
        moved: the new paths of files that move, by their old ones.
        there: the paths that exist from now on; a link to another becomes its words.
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match.groups()
        path = os.path.normpath(PurePosixPath(old).parent / target)
        path = moved.get(path, path)
        if path not in there and not any(file.startswith(f"{path}/") for file in there):
            return words
        shown = "!" if match[0].startswith("!") else ""
        return f"{shown}[{words}]({Path(os.path.relpath(path, PurePosixPath(new).parent)).as_posix()}{anchor})"

    return _LINK.sub(link, text)
