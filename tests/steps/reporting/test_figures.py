"""Small tables to SVG."""

import re
import xml.etree.ElementTree as ET

from lockstep.steps.diagnosing.diagnosis import Cloud
from lockstep.steps.reporting import drawing, figures
from lockstep.steps.reporting.drawing import standalone
from lockstep.steps.reporting.figures import Axis, Line, bars, bins, cloud, dots, histogram, lines, matrix

import pytest

NAMES = ["<script>alert(1)</script>", "$\\alpha$", "_under", "🦄", "שלום", "#000001", ' id="x"', "a & b"]
EACH = {
    "lines": lambda name="n", alt="An alt": lines(
        name, alt, [Line(label, [0, 1, 2], [0, 1, 4], [0, 1, 0], marks=True) for label in NAMES], Axis(NAMES[0]),
        Axis(NAMES[1]), reference=[(0, 0), (2, 4)],
    ),
    "bars": lambda name="n", alt="An alt": bars(
        name, alt, NAMES, [("one", range(-1, 7)), ("two", range(8))], Axis(NAMES[1]), spread=[0.5] * 8
    ),
    "points": lambda name="n", alt="An alt": bars(name, alt, NAMES, [("", range(8))], Axis(NAMES[1], (3, 9))),
    "histogram": lambda name="n", alt="An alt": histogram(
        name, alt, [0, 1, 2], [(NAMES[0], [0.5, 0.5]), (NAMES[2], [1, 0])], NAMES[3]
    ),
    "cloud": lambda name="n", alt="An alt": cloud(
        name, alt, Cloud([(0.5, 0.5)], [(0, 0, 3), (1, 1, 9)], 1, 1, (0, 2), (0, 2), 0), (NAMES[0], NAMES[1])
    ),
    "matrix": lambda name="n", alt="An alt": matrix(name, alt, NAMES, [[row] * 8 for row in range(8)]),
    "bins": lambda name="n", alt="An alt": bins(
        name, alt, [(NAMES[0], [(0, 0, 0, 1), (1, 1, 0.5, None)])], NAMES[4], NAMES[5], diagonal=True
    ),
    "dots": lambda name="n", alt="An alt": dots(name, alt, [(NAMES[0], [1, 1, 2]), (NAMES[1], [1])], NAMES[6]),
}  # fmt: skip


@pytest.fixture(params=EACH, ids=str)
def draw(request):
    return EACH[request.param]


def test_a_picture_is_well_formed_says_what_it_is_and_loads_nothing(draw):
    svg = draw(alt='<b> & "alt"')
    root = ET.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
    assert root.get("role") == "img"
    assert root.find("title").text == '<b> & "alt"'
    assert root.get("aria-labelledby") == root.find("title").get("id")
    assert not re.search(r"(href|src)=\"(?!#)|url\((?!#)|<image|<script|<style|<metadata|<!DOCTYPE|@import", svg)


def test_the_same_table_gives_the_same_bytes_whatever_the_users_own_settings(draw):
    import matplotlib as mpl

    first = draw()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}):
        assert draw() == first
    assert mpl.rcParams["svg.fonttype"] == mpl.rcParamsDefault["svg.fonttype"]


def test_names_are_unique_among_pictures(draw):
    ids = [set(re.findall(r'<[^>]* id="([^"]*)"', draw(name=name))) for name in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    svg = draw(name="one")
    assert set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg)) <= ids[0]


def test_colours_are_those_of_the_page(draw):
    svg = draw()
    styles = " ".join(re.findall(r'style="([^"]*)"', svg))
    assert "var(--" in styles
    assert not re.search(r"#[0-9a-f]{6}", styles)
    assert set(re.findall(r"var\(--(\w+)\)", styles)) <= {*drawing._VARIABLES.values()}


@pytest.mark.parametrize("kind", ["lines", "bars", "matrix"])
def test_texts_are_shown_as_they_are(kind):
    svg = EACH[kind]()
    shown = [element.text for element in ET.fromstring(
        svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1)).iter("text")]  # fmt: skip
    for name in ("#000001", ' id="x"', "a & b", "🦄", "$\\alpha$"):
        assert name in shown, shown
    assert any(text and text.lstrip("\N{ZERO WIDTH SPACE}") == "_under" for text in shown)
    assert "font-family" not in svg


def test_a_large_matrix_stays_small():
    svg = matrix("n", "alt", [f"class {i}" for i in range(12)], [[1000] * 12] * 12)
    assert len(svg) < 60_000


def test_the_others_of_a_matrix_are_neither_right_nor_wrong():
    drawn = matrix("n", "alt", ["a", "2 others"], [[5, 0], [0, 7]], others=True)
    assert (drawn.count("var(--c1)"), drawn.count("var(--c6)"), drawn.count("var(--c2)")) == (1, 1, 0)
    assert "var(--c6)" not in matrix("n", "alt", ["a", "b"], [[5, 0], [0, 7]])


def test_a_long_legend_stands_above_the_picture_in_columns():
    names = [f"a rather long class {i}" for i in range(6)]
    drawn = lines("n", "alt", [Line(name, [0, 1], [0, 1]) for name in names], Axis("x"), Axis("y"))
    height = float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawn)[1])
    assert height > drawing.HEIGHT + 6 / 2 * 15
    places = [float(x) for x in re.findall(r'<text [^>]*x="([\d.]+)"[^>]*>a rather', drawn)]
    assert len(places) == 6
    assert max(places) < drawing.WIDTH - 6 * len(names[0])


def test_a_picture_as_a_file():
    svg = standalone(EACH["dots"](), 400, ":root { --ink: #000; }")
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("role")) == ("400", "img")
    assert "--ink: #000" in svg


def test_equal_dots_are_drawn_beside_one_another():
    shown = re.findall(r'<use [^>]*y="([\d.]+)"[^>]*fill: var\(--c1\)', dots("n", "alt", [("a", [1.0, 1.0, 1.0])], "x"))
    assert len(shown) == len(set(shown)) == 3


def test_ticks_of_a_logarithmic_axis_leave_room_for_their_labels():
    assert figures._apart([250, 500, 1000, 2000, 2100]) == [250, 500, 1000, 2100]


def test_dates_on_an_axis_are_apart_and_no_warning_is_given(recwarn):
    three = [18779.0, 18780.0, 18781.0]
    drawn = lines("n", "alt", [Line("", three, [1, 2, 3])], Axis("seen", dates=True), Axis("y"))
    assert re.findall(r">(\d\d-\d\d[^<]*)<", drawn) == ["06-01", "06-02", "06-03"]
    assert ">seen, 2021<" in drawn
    one = lines("n", "alt", [Line("", three[:1], [1])], Axis("seen", dates=True), Axis("y"))
    assert re.findall(r">(\d{4}-\d\d-\d\d)<", one) == ["2021-06-01"]
    century = [-18000.0 + 1900 * step for step in range(20)]
    assert ">1960<" in lines("n", "alt", [Line("", century, range(20))], Axis("born", dates=True), Axis("y"))
    assert not recwarn.list


@pytest.mark.parametrize(("values", "spread"), [([0.3, -0.1], [0.1, 0.1]), ([0.3, 0.02], [0.1, 0.1])])
def test_names_of_bars_on_both_sides_of_zero_stand_left_of_the_axis(values, spread):
    names = ["a_feature_with_a_rather_long_name_indeed", "b"]
    drawn = bars("n", "alt", names, [("", values)], Axis("x"), spread=spread)
    left = min(float(x) for x in re.findall(r'<path d="M ([\d.]+)', drawn))
    for name in ("a_feature_wit…_name_indeed", "b"):
        anchor, x = re.search(rf'<text [^>]*text-anchor: (\w+)[^>]*x="([\d.]+)"[^>]*>{name}<', drawn).groups()
        assert (anchor, float(x) < left) == ("end", True)
    assert ">a_feature_with_a_rather_long_name_indeed<" in bars("n", "alt", names, [("", [1, 0])], Axis("x"))


def test_the_label_of_a_narrow_axis_ends_within_the_picture():
    label = "rise of the log loss, mean and spread of the shuffles"
    drawn = bars("n", "alt", ["a_feature_with_a_rather_long_name_indeed"], [("", [-1])], Axis(label))
    middle = float(re.search(rf'<text [^>]*text-anchor: middle[^>]*x="([\d.]+)"[^>]*>{label}<', drawn)[1])
    assert middle + 6.4 * len(label) / 2 < drawing.WIDTH
