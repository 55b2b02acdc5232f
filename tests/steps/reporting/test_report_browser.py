"""The pages in a real browser: nothing is loaded, nothing is complained of, nothing sticks out, all can be read."""

import os
from pathlib import Path

from lockstep.commands.pipeline.index import IndexEntry
from lockstep.steps.reporting.facts import facts_of
from lockstep.steps.reporting.page import index_page, picture_file, report_page
from lockstep.steps.reporting.pictures import pictures_of
from lockstep.steps.reporting.result import ShownMetric
from publishing.report_picture import FLAGS, chromium
from reports import noisy, sources_of

import pytest
from small import widened
from workspace import Repository

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data };
  const light = color => { const [r, g, b] = Array.from(rgb(color)).slice(0, 3).map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const paper = getComputedStyle(document.body).backgroundColor, found = [];
  const texts = "h1, h2, h3, p, figcaption, td, th, a, summary, caption, dt, dd, svg text";
  for (const element of document.querySelectorAll(texts)) {
    const style = getComputedStyle(element), ink = element.closest("svg") ? style.fill : style.color;
    if (element.closest("svg") && ink === paper) continue;  // a number in a dark cell of a matrix
    const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0])[0];
}"""
"""The text of the least contrast with the page, after https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
OUTSIDE = """() => [...document.querySelectorAll("svg.picture")].flatMap(picture => {
  const frame = picture.getBoundingClientRect();
  return [...picture.querySelectorAll("text")].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 3 || box.right > frame.right + 3 || box.bottom > frame.bottom + 3;
  }).map(text => text.textContent);
})"""


@pytest.fixture(scope="module")
def browser():
    if chromium() is None:
        message = "Chromium is missing. '.ci/install', or 'apt-get install chromium', installs it."
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS, timeout=120_000)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of reports: binary.html, regression.html, and the index."""
    folder = tmp_path_factory.mktemp("reports")
    entries = []
    for name, table, model in (
        ("binary", noisy(rows=400), "gradient_boosting"),
        ("regression", noisy("regression", rows=600), "random_forest"),
    ):
        facts = facts_of(sources_of(table, model, learning_curve_rows=100))
        pictures = pictures_of(facts)
        (folder / f"{name}.html").write_text(report_page(facts, pictures), encoding="utf-8")
        (folder / f"{name}.svg").write_text(picture_file(facts, pictures), encoding="utf-8")
        entries.append(
            IndexEntry(
                name,
                facts.title,
                facts.task,
                model,
                80,
                [ShownMetric("accuracy", "Accuracy", 0.9, None, None, 0.5, 0.9, 0.01)],
            )
        )
    (folder / "index.html").write_text(index_page(entries), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def plots(tmp_path_factory):
    """The page of DVC's plots, of the metrics that the repository records."""
    folder = tmp_path_factory.mktemp("plots") / "repository"
    assert Repository(folder).lockstep("plots").stdout == "reports/plots.html\n"
    return folder / "reports/plots.html"


class Seen:
    """A page as it was opened, and what it asked for and complained of."""

    def __init__(self, browser, path: Path, width=1400, scheme="light", **own):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **own)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.resolve().as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def open_all(self):
        self.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")


@pytest.mark.parametrize("name", widened(["binary", "regression"], ["binary"]))
def test_a_report_opens_from_its_file_alone(browser, folder, name):
    with Seen(browser, folder / f"{name}.html", offline=True) as seen:
        assert [url for url in seen.requests if not url.startswith("data:")] == [(folder / f"{name}.html").as_uri()]
        assert seen.complaints == []
        assert seen.page.title() == "A title"
        headings = seen.page.locator("h2").all_inner_texts()
        assert headings == ["Contents", "Result", "Data", "Predictions", "Training", "Features", "Weak spots",
                            "Data checks", "Model card"]  # fmt: skip
        assert seen.page.locator("svg.picture").count() >= 10
        sizes = seen.page.evaluate(
            "[...document.querySelectorAll('svg.picture')].map(e => [e.clientWidth, e.clientHeight])"
        )
        assert all(width > 200 and height > 60 for width, height in sizes), sizes


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("name", ["binary", "regression", "index"])
def test_nothing_sticks_out(browser, folder, name, width):
    with Seen(browser, folder / f"{name}.html", width=width) as seen:
        seen.open_all()
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.page.evaluate(OUTSIDE) == []
        assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_light_and_dark(browser, folder, scheme):
    with Seen(browser, folder / "binary.html", scheme=scheme) as seen:
        seen.open_all()
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 23, 30)")
        contrast, text = seen.page.evaluate(CONTRAST)
        assert contrast >= 4.5, (contrast, text)  # WCAG AA


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_plots_of_dvc_are_drawn_without_a_network(browser, plots, scheme):
    with Seen(browser, plots, scheme=scheme, width=390, offline=True) as seen:
        seen.page.wait_for_function(
            "[...document.querySelectorAll('.plot')].every(place => place.querySelector('svg'))", timeout=30_000
        )
        assert seen.complaints == []
        assert [url for url in seen.requests if not url.startswith("data:")] == [plots.resolve().as_uri()]
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390
        heights = seen.page.evaluate("[...document.querySelectorAll('.plot svg')].map(picture => picture.clientHeight)")
        assert len(heights) >= 12
        assert 40 < min(heights) <= max(heights) < 1300  # three, which a wide page has side by side, in one column


def test_print_is_light_and_fits_the_paper(browser, folder):
    with Seen(browser, folder / "binary.html", scheme="dark") as seen:
        seen.page.emulate_media(media="print", color_scheme="dark")
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not seen.page.locator("nav.contents").is_visible()
        printed = seen.page.pdf(format="A4")
        assert printed.startswith(b"%PDF")
        assert 3 <= printed.count(b"/Type /Page\n") <= 15


def test_the_keyboard_reaches_what_there_is_to_reach(browser, folder):
    with Seen(browser, folder / "binary.html") as seen:
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.textContent") == "Skip to the result"
        assert seen.page.locator(".skip").evaluate("e => e.getBoundingClientRect().left >= 0")
        seen.page.keyboard.press("Enter")
        assert seen.page.url.endswith("#result")


def test_the_index_leads_to_the_reports(browser, folder):
    with Seen(browser, folder / "index.html") as seen:
        assert {url.rsplit("/", 1)[1] for url in seen.requests if url.startswith("file:")} == {
            "index.html", "binary.svg", "regression.svg",
        }  # fmt: skip
        seen.page.locator("table a").first.click()
        assert seen.page.title() == "A title"
        assert seen.complaints == []
