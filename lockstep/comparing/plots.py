"""The plots that dvc.yaml declares, as one page that needs no network: results first, without empty pictures.

DVC fills its templates (``dvc plots show --json``); the page draws them with Vega, which stands beside this module in
``vega/``. ``dvc plots show`` itself has its browser load Vega from the internet.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.steps.reporting.page import plots_page
from lockstep.steps.reporting.wording import visible

VEGA = tuple(Path(__file__).parent / "vega" / f"{name}.min.js" for name in ("vega", "vega-lite", "vega-embed"))
"""In the order in which they need each other."""
MOST_BARS = 25
"""So many bars of a picture are shown, the longest."""
_ORDER = (
    "intervals", "predictions", "curves", "folds", "importance", "history", "trials", "watch", "checks", "profile",
)  # fmt: skip
"""The files by what they tell: how good the model is, then why, then of what data."""
_PROBLEM = re.compile(
    r"metrics/(?:plots/(?P<folder>[^/]+)/(?P<plot>\w+)|(?P<name>[^/]+)_(?P<kind>\w+?))\.(?:csv|json)$"
)
_HIDDEN: dict[str, dict[str, Any]] = {
    "color": {"legend": None},
    "strokeDash": {"legend": None},
    "shape": {"legend": None},
    "y": {"axis": None},
}
"""What names the revisions, by the part of a picture that tells them apart."""
_OTHERS = "Other plots"


class Figure(NamedTuple):
    """A picture: its title, the specification for Vega-Lite, and a remark."""

    title: str
    spec: dict[str, Any]
    note: str


class _Section(NamedTuple):
    """A problem and its pictures."""

    title: str
    figures: list[Figure]


def page_of(plots: Mapping[str, Any]) -> str:
    """The page, one HTML file that needs no other; ``plots``: what ``dvc plots show --json`` prints."""
    sections = sections_of(plots)
    revisions = list(dict.fromkeys(name for plot in _filled(plots) for name in plot["revisions"]))
    scripts = [path.read_text(encoding="utf-8") for path in VEGA] if sections else []
    return plots_page([visible(name) for name in revisions], sections, scripts)


def sections_of(plots: Mapping[str, Any]) -> list[_Section]:
    """The pictures by problem, in the order of dvc.yaml; what belongs to no problem comes last."""
    found: dict[str, dict[tuple[int, str], Figure]] = {}
    for path, entries in plots.get("data", {}).items():
        match = _PROBLEM.search(path)
        problem = (match["folder"] or match["name"]) if match else _OTHERS
        kind = (match["plot"] or match["kind"]) if match else ""
        place = _ORDER.index(kind) if kind in _ORDER else len(_ORDER)
        for number, entry in enumerate(entry for entry in entries if entry["type"] == "vega"):
            figure = _figure(problem, path, entry)
            if figure is not None:
                found.setdefault(problem, {})[place, f"{path} {number}"] = figure
    others = found.pop(_OTHERS, {})
    named = [*found.items(), *([(_OTHERS, others)] if others else [])]
    return [_Section(visible(name), [figures[key] for key in sorted(figures)]) for name, figures in named]


def _filled(plots: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (entry for entries in plots.get("data", {}).values() for entry in entries)


def _figure(problem: str, path: str, entry: Mapping[str, Any]) -> Figure | None:
    """A picture as the page draws it; None where it would be empty, or say nothing."""
    spec = dict(entry["content"])
    title = spec.pop("title", None)
    text = str(title.get("text", "") if isinstance(title, dict) else title or path)
    note = ""
    if _is_bars(spec):
        spec, note = _longest(spec)
    rows = spec.get("data", {}).get("values")
    if not rows or len({row.get("iteration") for row in rows if "iteration" in row}) == 1:  # a curve of one point
        return None
    alone = len(entry["revisions"]) == 1
    if alone and isinstance(spec.get("facet"), dict) and spec["facet"].get("field") == "rev":
        spec = {key: part for key, part in spec.items() if key not in ("facet", "columns", "spec")} | spec["spec"]
    spec = _plain(spec, alone=alone)
    return Figure(visible(text.removeprefix(f"{problem}: "), 120), spec, note)


def _is_bars(spec: Mapping[str, Any]) -> bool:
    """Whether it is one of DVC's own templates of horizontal bars."""
    mark, encoding = spec.get("mark"), spec.get("encoding", {})
    kind = mark.get("type") if isinstance(mark, dict) else mark
    return kind == "bar" and {"x", "y"} <= encoding.keys() and encoding["y"].get("type") == "nominal"


def _longest(spec: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The longest bars alone, as high as they need; no values where every bar has the length 0."""
    x, y = (spec["encoding"][axis]["field"] for axis in ("x", "y"))
    lengths: dict[str, float] = {}
    for row in spec["data"]["values"]:
        name = str(row.get(y))
        lengths[name] = max(lengths.get(name, 0.0), abs(float(row.get(x) or 0)))
    if not any(lengths.values()):
        return {**spec, "data": {"values": []}}, ""
    kept = sorted(lengths, key=lambda name: -lengths[name])[:MOST_BARS]
    rows = [row for row in spec["data"]["values"] if str(row.get(y)) in kept]
    shown = {key: part for key, part in spec.items() if key != "params"}  # dragging an axis of names moves nothing
    note = f"The {MOST_BARS} largest of {len(lengths):,}." if len(lengths) > MOST_BARS else ""
    return {**shown, "data": {**spec["data"], "values": rows}, "height": {"step": 18}, "width": 420}, note


def _plain(spec: Any, *, alone: bool) -> Any:
    """The specification without the colours that DVC gives revisions, and where one stands ``alone`` without its name
    at every picture: the page has colours, and says which it is."""
    if isinstance(spec, list):
        return [_plain(part, alone=alone) for part in spec]
    if not isinstance(spec, dict):
        return spec
    plain = {key: part if key == "values" else _plain(part, alone=alone) for key, part in spec.items()}
    for key, part in plain.items():
        if isinstance(part, dict) and part.get("field") == "rev":
            bare = {name: value for name, value in part.items() if name != "scale"}
            plain[key] = bare | (_HIDDEN.get(key, {}) if alone else {})
    return plain
