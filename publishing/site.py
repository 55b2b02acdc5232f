"""``python -m publishing.site``: the pages of the documentation site, from README.md, docs/ and the READMEs of folders.

They go to site/pages, each with links that lead to the same files as in the repository; a link to a file that is no
page becomes its words. ``make docs`` has Zensical make site/html of them (zensical.toml); it refuses links that lead
nowhere.
"""

import shutil
from pathlib import Path

from lockstep.template.links import relinked

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "site/pages"
_ABOVE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/quality.md": "quality.md",
    "benchmarks/model_choice.md": "model_choice.md",
    "data/README.md": "data.md",
    "estimators/README.md": "estimators.md",
    "scorers/README.md": "scorers.md",
    "reports/housing.svg": "images/housing.svg",
}
"""Files outside docs/, and their places on the site."""


def site_files(root: Path) -> dict[str, bytes]:
    """The files of the site, by their paths below site/pages: Markdown and pictures."""
    within = [path for path in sorted((root / "docs").rglob("*")) if path.suffix in (".md", ".png", ".svg")]
    places = {path.relative_to(root).as_posix(): path.relative_to(root / "docs").as_posix() for path in within} | _ABOVE
    there = set(places.values())

    def is_gone(path: str) -> bool:
        return path not in there and (root / path).exists()  # a link that leads nowhere stays, to be found

    found = {}
    for old, new in places.items():
        data = (root / old).read_bytes()
        found[new] = relinked(data.decode(), old, new, places, is_gone).encode() if new.endswith(".md") else data
    return found


def main() -> None:
    """Write the pages anew."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for name, data in site_files(ROOT).items():
        path = PAGES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
