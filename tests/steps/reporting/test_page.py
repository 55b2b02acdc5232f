"""The page and the model card: facts and pictures through the templates."""

import dataclasses
import itertools
import re
from html.parser import HTMLParser

from lockstep.steps.diagnosing.diagnosis import Dependence
from lockstep.steps.reporting.data import ColumnFacts
from lockstep.steps.reporting.facts import Facts, facts_of
from lockstep.steps.reporting.page import card_header, model_card, picture_file, render, report_page
from lockstep.steps.reporting.pictures import LEGEND_NAME, _legend, pictures_of
from lockstep.steps.reporting.plotted import Curve
from lockstep.steps.reporting.sources import Check, Checks
from lockstep.steps.reporting.wording import score
from lockstep.steps.splitting.parts import SplitSettings
from reports import noisy, sources_of, table_of

import jinja2
import msgspec
import numpy as np
import pandas as pd
import pytest
import yaml

RNG = np.random.default_rng(0)
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
VOID = {"meta", "link", "br", "wbr"}


class Page(HTMLParser):
    """The tags of a page, in order, and an error where one is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self._open = [], []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def built(given):
    facts = facts_of(given)
    return facts, pictures_of(facts)


@pytest.fixture(scope="module")
def binary():
    table = noisy(rows=400)
    return built(sources_of(table, "gradient_boosting", learning_curve_rows=100))


@pytest.fixture(scope="module")
def regression():
    return built(sources_of(noisy("regression", rows=600), "ridge"))


@pytest.fixture(scope="module")
def hostile():
    """Names of columns, levels and classes that are markup, mathematics, Markdown, or turn the writing around."""
    levels = [SCRIPT, IMAGE, "שלום", "🦄", "a\u202eb", "$\\alpha$", "|`*[md](http://x)", "yes", "yes ", "x" * 5000]
    frame = pd.DataFrame({SCRIPT: RNG.normal(size=300), IMAGE: RNG.choice(levels, 300), "$x^2$": RNG.normal(size=300)})
    table = table_of(frame.assign(y=RNG.choice(levels, 300)))
    given = sources_of(table, report={"title": SCRIPT, "limits": (SCRIPT, IMAGE)})
    leak = Check("C1", "target_leak", "warning", 1, f"'{SCRIPT}' explains all")
    return built(dataclasses.replace(given, checks=Checks([*given.checks.checks, leak])))


def test_a_page_is_one_file_that_loads_nothing(binary, regression):
    for facts, pictures in (binary, regression):
        text = report_page(facts, pictures)
        page = Page(text)
        assert not page.all("script")
        assert not page.all("img")
        assert [link["href"] for link in page.all("link")] == ["data:,"]
        assert all(link["href"].startswith("#") for link in page.all("a"))
        assert "http" not in re.sub(r"http://www\.w3\.org/\S+", "", text)
        assert text == report_page(facts, pictures)


def test_a_page_can_be_read_by_ear_and_by_keyboard(binary):
    text = report_page(*binary)
    page = Page(text)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)
    assert all(label in ids for _, attributes in page.tags for label in attributes.get("aria-labelledby", "").split())
    assert all(picture["role"] == "img" for picture in page.all("svg"))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    assert page.all("html") == [{"lang": "en"}]
    assert text.count("tabindex") >= len(page.all("table")) >= 7  # what scrolls can be reached


def test_each_task_has_its_pictures(binary, regression):
    assert {"balance", "confusion", "roc", "precision_recall", "calibration", "scores", "thresholds", "history",
            "learning", "folds", "importance", "dependence-1"} <= set(binary[1])  # fmt: skip
    assert {"target", "predicted", "residuals", "error_by_size", "calibration", "folds", "importance"} <= set(
        regression[1]
    )
    for facts, pictures in (binary, regression):
        text = report_page(facts, pictures)
        assert all(svg in text for svg in pictures.values())  # none is drawn in vain


def test_a_curve_that_is_flat_beside_the_others_stands_there_again_on_its_own_scale(regression):
    facts, _ = regression
    curves = {"steep": [0.0, 100.0], "flat": [50.0, 52.0], "constant": [50.0, 50.0], "sloped": [0.0, 50.0]}
    entries = [Dependence(name, "number", 9, [0, 1], {"": line}, 0, 1) for name, line in curves.items()]
    text = Dependence("levels", "text", 2, ["a", "b"], {"": [50.0, 51.0]}, None, None)
    features = dataclasses.replace(facts.features, dependence=[*entries, text])
    facts = dataclasses.replace(facts, features=features)
    pictures = pictures_of(facts)
    assert [name for name in pictures if name.endswith("-closer")] == ["dependence-2-closer", "dependence-5-closer"]
    # A bar shows by its length how far it is from zero; on another scale there are points.
    assert pictures["dependence-5-closer"].count("<use") >= pictures["dependence-5"].count("<use") + 2
    page = report_page(facts, pictures)
    assert "<bdi>flat</bdi>, closer</h3>" in page
    assert "<bdi>levels</bdi>, closer</h3>" in page
    assert page.count("The same on a scale of its own") == 2


def test_the_cells_of_wide_tables_say_what_column_they_are_of(binary):
    """On a phone, where a row is a card, there is no head above them."""
    text = report_page(*binary)
    tables = re.findall(r'<table class="cards">.*?</table>', text, re.DOTALL)
    assert tables
    for table in tables:
        head = re.findall(r'<th scope="col"[^>]*><bdi>(.*?)</bdi>', table)
        assert len(head) > 3
        for row in re.findall(r"<tr><th scope=\"row\".*?</tr>", table, re.DOTALL):
            assert re.findall(r'<td data-label="([^"]*)"', row) == head[1:]


def test_the_data_cannot_write_markup(hostile):
    facts, pictures = hostile
    text = report_page(facts, pictures)
    page = Page(text)
    assert not page.all("script")
    assert not page.all("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "\u202e" not in text
    assert "x" * 700 not in text
    card = model_card(facts).split("---\n", 2)[2]  # what is above is YAML
    assert "<script" not in card
    assert "<img" not in card
    assert "[md](http" not in card


def test_two_megabytes_are_enough_for_anything(binary, regression, hostile):
    """Facts as large as they can get: every cap reached, every name as long as it can be."""
    name = "<&\"'>" * 12
    for facts, pictures in (binary, regression, hostile):
        column = ColumnFacts(name, "feature", "number", 10**6, 10**6, name, name * 3)
        row = msgspec.structs.replace(facts.weak.worst.rows[0], values=[name] * 8)
        wide = dataclasses.replace(
            facts,
            data=dataclasses.replace(facts.data, columns=[column] * 150, features=[name] * 150, dropped=[name] * 150),
            weak=dataclasses.replace(
                facts.weak,
                worst=msgspec.structs.replace(facts.weak.worst, features=[name] * 8, rows=[row] * 100),
                slices=msgspec.structs.replace(facts.weak.slices, worst=facts.weak.slices.worst[:1] * 50),
            ),
            features=dataclasses.replace(facts.features, dependence=facts.features.dependence[:1] * 12),
            card=dataclasses.replace(facts.card, intended_use=[name * 10] * 50),
        )
        if facts.task == "classification":
            own = dataclasses.replace(facts.predictions, classes=facts.predictions.classes[:1] * 30)
            wide = dataclasses.replace(wide, predictions=own)
        largest = max(pictures.values(), key=len)
        many = dict.fromkeys(pictures, largest) | {f"dependence-{i}": largest for i in range(1, 13)}
        assert len(report_page(wide, many).encode()) < 2_000_000


def test_one_subgroup_was_looked_at(binary):
    facts, pictures = binary
    slices = msgspec.structs.replace(facts.weak.slices, looked_at=1)
    text = report_page(dataclasses.replace(facts, weak=dataclasses.replace(facts.weak, slices=slices)), pictures)
    assert f"1 subgroup of at least {slices.least_rows} test rows was looked at:" in text
    assert "subgroups at once" not in text
    assert f"of at least {slices.least_rows} test rows were looked at:" in report_page(*binary)


@pytest.mark.parametrize("left_out", ["history", "learning", "calibration", "roc"])
def test_a_picture_may_lack(binary, left_out):
    facts, pictures = binary
    text = report_page(facts, {name: svg for name, svg in pictures.items() if name != left_out})
    assert Page(text).all("h1")


def test_what_is_not_stated_is_asked_for(binary):
    text = report_page(*binary)
    assert "problems.p.report.intended_use" in text
    assert "problems.p.report.limits" in text


def test_without_single_rows_the_page_says_so():
    facts, pictures = built(sources_of(noisy(rows=200), worst_rows=0, slices=0))
    text = report_page(facts, pictures)
    assert "Left out, as <code>diagnose.worst_rows</code> says: this page holds no single row of the data." in text
    assert "No subgroup was looked at." in text


def test_a_misspelled_name_in_a_template_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render("report.html", facts=object(), pictures={})


@pytest.mark.parametrize("which", ["binary", "regression", "hostile"])
def test_the_model_card_is_in_the_hugging_face_format(which, request):
    """https://huggingface.co/docs/hub/model-cards#model-card-metadata, and the metadata's specification there."""
    facts: Facts = request.getfixturevalue(which)[0]
    _, header, body = model_card(facts).split("---\n", 2)
    meta = yaml.safe_load(header)
    assert meta == card_header(facts)
    assert meta["library_name"] == "sklearn"
    assert meta["pipeline_tag"] in ("tabular-classification", "tabular-regression")
    assert all(isinstance(tag, str) for tag in meta["tags"])
    (model,) = meta["model-index"]
    (result,) = model["results"]
    assert {"type", "name"} <= set(result["task"])
    assert {"type", "name"} <= set(result["dataset"])
    assert [metric["type"] for metric in result["metrics"]] == [metric.key for metric in facts.result.metrics]
    assert all(isinstance(metric["value"], float) for metric in result["metrics"])
    assert "license" not in meta
    titles = re.findall(r"^## (.*)$", body, re.MULTILINE)
    titles.remove("Weak spots") if "Weak spots" in titles else None  # none where no subgroup is large enough
    assert titles == [
        "Intended use", "Limits", "Training data", "Metrics", "Settings", "How to load it", "How to rebuild it",
    ]  # fmt: skip
    tables = [line.count("|") - line.count("\\|") for line in body.splitlines() if line.startswith("|")]
    assert set(tables) <= {4, 6}


def test_a_licence_is_in_the_card(binary):
    facts, _ = binary
    card = dataclasses.replace(facts.card, licence="apache-2.0")
    assert card_header(dataclasses.replace(facts, card=card))["license"] == "apache-2.0"


def test_the_picture_of_a_problem_has_colours_of_its_own(binary, regression):
    for facts, pictures in (binary, regression):
        svg = picture_file(facts, pictures)
        assert svg.startswith("<svg xmlns=")
        assert "prefers-color-scheme: dark" in svg
        assert set(re.findall(r"var\(--(\w+)\)", svg)) <= set(re.findall(r"--(\w+):", svg))


def test_rows_that_the_settings_leave_out_are_counted(binary):
    facts, pictures = binary
    said = "without a target or of a rare class: 7 rows."
    assert said not in report_page(facts, pictures)
    data = dataclasses.replace(facts.data, rows=facts.data.rows._replace(left_out=7))
    left_out = dataclasses.replace(facts, data=data)
    assert said in report_page(left_out, pictures)
    assert said in model_card(left_out)


def text_of(facts):
    """The page's words, without its markup, pictures and line breaks."""
    page = re.sub(r"<svg.*?</svg>|<style.*?</style>", "", report_page(facts, pictures_of(facts)), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", "", page).split())


@pytest.mark.parametrize(
    ("model", "classes", "said", "unsaid"),
    [
        ("random_forest", 2, ["The rise of the log loss on test rows"], ["gives no probabilities", "are left out"]),
        (
            "svm", 2,
            ["A SVC gives no probabilities: there is no calibration to show.", "The fall of the area under the ROC"],
            ["nor a ROC curve", "are left out"],
        ),
        (
            "svm", 3,
            [
                "A SVC gives no probabilities: there is no calibration to show, nor a ROC curve.",
                "Area under the ROC curve and log loss are left out: a SVC gives no probabilities.",
                "The fall of the balanced accuracy on test rows",
            ],
            [],
        ),
    ],
)  # fmt: skip
@pytest.mark.exhaustive
def test_the_page_says_what_the_model_gives(model, classes, said, unsaid):
    shown = text_of(facts_of(sources_of(noisy(classes=classes), model)))
    assert [words for words in said if words not in shown] == []
    assert [words for words in unsaid if words in shown] == []


def test_a_class_that_the_test_rows_lack_is_no_lack_of_probabilities():
    frame = noisy(rows=240).frame.sort_values("y").assign(t=np.arange(240))
    frame.loc[frame.index[:20], "y"] = "c1"  # both classes in the training rows, one in the last rows
    given = sources_of(table_of(frame, time="t"), "logistic_regression", split=SplitSettings(time="t"))
    shown = text_of(facts_of(given))
    assert "log loss are left out: the classes of the test rows are not those of the model." in shown
    assert "there is no ROC curve to show" in shown
    assert "gives no probabilities" not in shown


def test_every_table_of_metrics_says_which_average(binary):
    facts = binary[0]
    page, card = report_page(facts, binary[1]), model_card(facts)
    for name in ("Precision", "Recall", "F1"):
        assert f'<th scope="row">{name} (macro)</th>' in page
        assert f"| {name} (macro) | " in card
    assert "Accuracy (macro)" not in page + card


def test_names_break_behind_underscores_and_dates_nowhere(binary):
    facts, pictures = binary
    part = msgspec.structs.replace(facts.weak.slices.worst[0], column="a_day", level="2021-06-01 to below 2021-07-01")
    weak = dataclasses.replace(facts.weak, slices=msgspec.structs.replace(facts.weak.slices, worst=[part]))
    text = report_page(dataclasses.replace(facts, weak=weak), pictures)
    day = '<span class="date">{}</span>'.format
    assert f"a_<wbr>day</bdi>: <bdi>{day('2021-06-01')} to below {day('2021-07-01')}</bdi>" in text


def test_an_interval_of_large_numbers_may_break(regression):
    facts, pictures = regression
    usual = [metric._replace(low=0.5, high=0.9, folds_mean=0.7, folds_std=0.1) for metric in facts.result.metrics]
    narrow = report_page(dataclasses.replace(facts, result=dataclasses.replace(facts.result, metrics=usual)), pictures)
    wide = [metric._replace(value=1e10, low=1e9, high=1e11) for metric in facts.result.metrics]
    text = report_page(dataclasses.replace(facts, result=dataclasses.replace(facts.result, metrics=wide)), pictures)
    assert f'class="n loose">{score(1e9)} to {score(1e11)}</td>' in text.replace("&nbsp;", "\N{NO-BREAK SPACE}")
    assert 'class="n loose"' not in narrow


def test_names_in_a_legend_above_the_picture_have_more_room():
    name = "a class with quite a long name "
    curves = [Curve(f"{name}{number}", [0, 1], [0, 1], 0.5) for number in range(4)]
    assert [_legend(curve, 4) for curve in curves] == [f"{curve.name}: 0.500" for curve in curves]
    assert len(_legend(curves[0], 3)) == LEGEND_NAME + len(": 0.500")
