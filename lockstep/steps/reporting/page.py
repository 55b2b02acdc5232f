"""Facts and pictures to a page, and facts to a model card, through the templates beside this module.

Everything that a template shows is escaped (Jinja2's autoescaping for HTML, ``_markdown`` for the card), and a name
that a template misspells is an error.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import plural
from lockstep.steps.reporting.drawing import standalone
from lockstep.steps.reporting.facts import Facts
from lockstep.steps.reporting.wording import count, number, percent, ratio, score, size, spread

import jinja2
import yaml
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).parent / "templates"
PIPELINE_TAGS = {"classification": "tabular-classification", "regression": "tabular-regression"}
"""The tasks as the Hugging Face Hub names them (https://huggingface.co/tasks)."""
PICTURE = {"classification": "confusion", "regression": "predicted"}
"""The picture by which a problem is shown elsewhere."""
PICTURE_WIDTH = 460


def render(template: str, **values: Any) -> str:
    """The text of a file in ``templates`` with these values."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (count, number, percent, plural, ratio, score, size, spread)
    environment.filters |= {function.__name__: function for function in words} | {
        "md": _markdown,
        "labelled": _labelled,
        "breakable": _breakable,
    }
    return environment.get_template(template).render(**values)


def report_page(facts: Facts, pictures: dict[str, str]) -> str:
    """The report, one HTML file that needs no other."""
    # Markup: figures.py has escaped what comes from the data.
    return render("report.html", facts=facts, pictures={name: Markup(svg) for name, svg in pictures.items()})  # noqa: S704


def index_page(entries: Sequence[Any], *, plots: str = "") -> str:
    """The page that leads to all reports, and to the page of DVC's plots.

    Args:
        entries: those of commands/pipeline/index.py.
        plots: the name of the other page; "": there is none.
    """
    return render("index.html", entries=entries, plots=plots)


def leaderboard_page(heading: str, sections: Sequence[Any], note: str) -> str:
    """The page that ranks models; ``sections``: those of comparing/leaderboard/page.py."""
    return render("leaderboard.html", heading=heading, sections=sections, note=note)


def watch_page(
    problem: str, summary: str, metrics: Sequence[str], batches: Sequence[Any], pictures: Sequence[Any]
) -> str:
    """The page of the batches that ``watch`` has seen; ``batches``, ``pictures``: those of watching/history_page.py."""
    drawn = [picture._replace(svg=Markup(picture.svg)) for picture in pictures]  # noqa: S704 - as in report_page
    return render("watch.html", problem=problem, summary=summary, metrics=metrics, batches=batches, pictures=drawn)


def plots_page(revisions: Sequence[str], sections: Sequence[Any], scripts: Sequence[str]) -> str:
    """The page of DVC's plots; ``sections``: those of comparing/plots.py, ``scripts``: the libraries that draw them."""
    # Markup: the libraries are the repository's own files.
    return render("plots.html", revisions=revisions, sections=sections, scripts=list(map(Markup, scripts)))


def picture_file(facts: Facts, pictures: dict[str, str]) -> str:
    """The one picture by which the problem is shown elsewhere, as an SVG file for light and dark pages."""
    style = render("colors.css").replace("\n", " ").strip()
    return standalone(pictures[PICTURE[facts.task]], PICTURE_WIDTH, style)


def model_card(facts: Facts) -> str:
    """The model card in the form of the Hugging Face Hub: a YAML header and Markdown
    (https://huggingface.co/docs/hub/model-cards)."""
    header = yaml.safe_dump(card_header(facts), sort_keys=False, allow_unicode=True, width=110)
    return f"---\n{header}---\n\n{render('card.md', facts=facts)}"


def card_header(facts: Facts) -> dict[str, Any]:
    """The metadata of the model card; ``model-index`` holds the metrics."""
    header: dict[str, Any] = {}
    if facts.card.licence:
        header["license"] = facts.card.licence
    tag = PIPELINE_TAGS[facts.task]
    dataset = {"name": facts.problem, "type": facts.problem, "split": "test"}
    metrics = facts.result.metrics
    measured = [{"type": metric.key, "name": metric.name, "value": metric.value} for metric in metrics]
    return header | {
        "library_name": "sklearn",
        "pipeline_tag": tag,
        "tags": ["sklearn", tag, facts.card.model],
        "metrics": [metric.key for metric in metrics],
        "model-index": [
            {
                "name": facts.problem,
                "results": [
                    {"task": {"type": tag, "name": facts.title}, "dataset": dataset, "metrics": measured},
                ],
            }
        ],
    }


def _labelled(rows: Markup, columns: Sequence[str]) -> Markup:
    """The rows of a table, whose cells say what column they are of, for pages too narrow for a head: all but the first
    of a row, which names it, unless that is a number."""

    def row(match: re.Match[str]) -> str:
        places = iter(columns)

        def cell(match: re.Match[str]) -> str:
            label = next(places)
            names_row = match[1] == "th" and 'class="n"' not in match[2]
            return match[0] if names_row else f'<{match[1]} data-label="{escape(label)}"{match[2]}>'

        return re.sub(r"<(t[dh])\b([^>]*)>", cell, match[0])

    return Markup(re.sub(r"<tr\b.*?</tr>", row, rows, flags=re.DOTALL))  # noqa: S704 - what is in the rows is escaped


def _breakable(value: Any) -> Markup:
    """A text of the data that breaks where it may: behind the underscores of a name, never within a date."""
    text = re.sub(r"\d{4}-\d\d-\d\d", r'<span class="date">\g<0></span>', str(escape(value)))
    return Markup(text.replace("_", "_<wbr>"))  # noqa: S704 - escaped in the line above


def _markdown(value: Any) -> Markup:
    """A text that Markdown shows as it is."""
    text = str(escape(value))
    return Markup(re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", text))  # noqa: S704 - escaped in the line above
