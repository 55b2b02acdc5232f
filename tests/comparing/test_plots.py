"""The page of DVC's plots: what comes first, what is left out, and that no cell of the data is markup."""

import hashlib
import json

from lockstep.comparing.plots import VEGA, page_of, sections_of

SHA256 = {
    "vega.min.js": "a701d1e94543be028690c98a749d7cefd4bf6074219096103e70c611093cef56",  # 5.33.1
    "vega-lite.min.js": "594f554cecafe6b992d51b7c00f4c0e5fc5f92114c7e1a641d2cf150f21cc60d",  # 5.23.0
    "vega-embed.min.js": "dbd49aff8999dfb12983cbcefeefb355ae72af68d7556ddcec12193a0eb46450",  # 6.29.0
}


def plot(title, values, spec=None, revisions=("workspace",)):
    """An entry of what ``dvc plots show --json`` prints."""
    content = {"title": {"text": title}, "data": {"values": values}, **(spec or {"mark": "line"})}
    return [{"type": "vega", "revisions": list(revisions), "content": content}]


def bars(title, lengths):
    spec = {"mark": {"type": "bar"}, "encoding": {"x": {"field": "n"}, "y": {"field": "name", "type": "nominal"}}}
    return plot(title, [{"name": name, "n": n} for name, n in lengths.items()], spec)


def test_results_come_first_and_problems_keep_their_order():
    sections = sections_of({
        "data": {
            "own.csv": plot("own", [{"x": 1}]),
            "metrics/b_c_profile.json": bars("b_c: missing", {"x": 1}),
            "metrics/plots/b_c/intervals.csv": plot("b_c: metrics", [{"x": 1}]),
            "metrics/plots/a/history.csv": plot("a: loss", [{"x": 1}]),
            "metrics/plots/a/predictions.csv": plot("a: predicted", [{"x": 1}]),
            "reports/a.svg": [{"type": "image", "revisions": ["workspace"], "url": "a.svg"}],
        }
    })  # fmt: skip
    assert [(one.title, [figure.title for figure in one.figures]) for one in sections] == [
        ("b_c", ["metrics", "missing"]), ("a", ["predicted", "loss"]), ("Other plots", ["own"]),
    ]  # fmt: skip


def test_nothing_is_drawn_of_no_values_of_bars_without_a_length_or_of_one_iteration():
    empty = {"metrics/a_profile.json": bars("a: missing", {"x": 0, "y": "0"}), "metrics/a_trials.csv": plot("t", [])}
    empty |= {"metrics/plots/a/history.csv": plot("a: loss", [{"iteration": 1, "loss": 0.5}])}
    assert sections_of({"data": empty}) == []
    assert "There is nothing to show" in page_of({"data": empty})
    assert "There is nothing to show" in page_of({})


def test_of_many_bars_the_longest_are_drawn_and_it_says_so():
    (section,) = sections_of({"data": {"metrics/a_profile.json": bars("m", {f"c{i}": i for i in range(500)})}})
    (figure,) = section.figures
    assert [row["n"] for row in figure.spec["data"]["values"]] == list(range(475, 500))
    assert figure.note == "The 25 largest of 500."


def test_a_revision_that_stands_alone_is_not_named_in_every_picture():
    spec = {
        "facet": {"field": "rev"}, "columns": 2,
        "spec": {"mark": "rect", "encoding": {"color": {"field": "rev", "scale": {"range": ["#000000"]}}}},
    }  # fmt: skip
    values = [{"rev": "main", "x": 1}]
    alone, both = (
        sections_of({"data": {"a.csv": plot("t", values, spec, revisions)}})[0].figures[0].spec
        for revisions in (["main"], ["main", "try"])
    )
    assert (alone["mark"], alone["encoding"]["color"]) == ("rect", {"field": "rev", "legend": None})
    assert (both["columns"], both["spec"]["encoding"]["color"]) == (2, {"field": "rev"})


def test_what_comes_from_the_data_is_no_markup():
    page = page_of({"data": {"a.csv": plot("</script><b>", [{"x": "</script><img>"}], revisions=["<i>"])}})
    head, _, rest = page.partition("<h1>")
    assert "</script><" not in rest.replace("</script>\n<script>", "")
    assert "<img>" not in page
    assert "<bdi>&lt;i&gt;</bdi>" in page
    assert "default-src &#39;none&#39;" in head
    assert json.dumps("\\u003c/script\\u003e\\u003cimg\\u003e").replace("\\\\", "\\") in rest


def test_the_libraries_that_draw_are_those_that_npm_has():
    """Each is ``build/NAME.min.js`` of its npm package, but for the line that names a source map."""
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VEGA} == SHA256
