"""``python -m publishing.report_picture``: docs/images/report.png, the first screen of a report that the pipeline made.

Needs Chromium (``.ci/install``). The picture carries the words and figures that it shows, so that a test without a
browser sees when the report has come to say something else.
"""

import io
import shutil
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

ROOT = Path(__file__).parent.parent
REPORT = "reports/housing.html"
PICTURE = ROOT / "docs/images/report.png"
_WIDTH, _SHARPNESS, _COLOURS = 800, 1.5, 64
_MARGIN = 24
_SHOWN = "Shown"
"""The key of the words in the picture's file."""
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
"""How Chromium is started: it asks nobody for anything."""


def chromium() -> str | None:
    """The path of the browser, None where there is none."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Words(HTMLParser):
    """Collects the words of a page's title, headline and first table."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.begun = self.done = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self.begun = self.begun or tag == "h1"

    def handle_endtag(self, tag: str) -> None:
        self.done = self.done or (self.begun and tag == "table")

    def handle_data(self, data: str) -> None:
        if self.begun and not self.done:
            self.words += data.split()


def shown_by(report: str) -> str:
    """The words and figures of a report's first screen: from its title to the end of the table of metrics.

    How they are set in type is left out: not every change of a margin asks for a new picture.
    """
    page = _Words()
    page.feed(report)
    return " ".join(page.words)


def shown_in(picture: Path) -> str:
    """The words and figures that the report had when the picture was made."""
    with Image.open(picture) as image:
        image.load()
        return str(image.info[_SHOWN])


def make(report: Path, picture: Path) -> None:
    """Write the ``picture`` of the ``report``'s first screen.

    Raises:
        SystemExit: there is no browser, or no report.
    """
    browser = chromium()
    if browser is None:
        raise SystemExit("Chromium is missing. '.ci/install', or 'apt-get install chromium', installs it.")
    if not report.exists():
        raise SystemExit(f"{report} is missing. 'make repro' builds it.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        page = opened.new_page(viewport={"width": _WIDTH, "height": 900}, device_scale_factor=_SHARPNESS)
        page.goto(report.resolve().as_uri())
        end = page.locator("table").first.bounding_box()
        assert end is not None
        height = end["y"] + end["height"] + _MARGIN
        taken = page.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": _WIDTH, "height": height})
        opened.close()
    about = PngInfo()
    about.add_itxt(_SHOWN, shown_by(report.read_text(encoding="utf-8")))
    picture.parent.mkdir(parents=True, exist_ok=True)
    # Few colours are enough for letters, and a third of the bytes: the picture is in git.
    Image.open(io.BytesIO(taken)).convert("RGB").quantize(_COLOURS).save(picture, optimize=True, pnginfo=about)


if __name__ == "__main__":
    make(ROOT / REPORT, PICTURE)
