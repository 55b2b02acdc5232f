"""What data-diff found, in words."""

import re

from lockstep.comparing.rendering import code, markdown, show, visible
from lockstep.comparing.tables.changes import compare_tables
from lockstep.comparing.tables.revisions import DataDiff, NotLoaded, SameFile
from lockstep.comparing.tables.words import report
from lockstep.comparing.verdicts import ALPHA
from lockstep.repository.revisions import RevisionName


def diff(revisions, problems, outdated):
    before, after = (RevisionName(name, None, name) for name in revisions)
    return DataDiff(alpha=ALPHA, before=before, after=after, changed=True, problems=problems, outdated=outdated)


def test_any_character_stays_in_its_cell_of_the_markdown_table(make_table):
    odd = "a|b `c`\n<b> \x1b[31m"
    tables = [
        make_table({"colour": [cell] * 9 + ["red"] * 40, "y": ["no", "yes"] * 24 + ["no"]}) for cell in ("x", odd)
    ]
    found = diff(["A", "B"], {"p": compare_tables(*tables)}, {})
    lines = [line for line in markdown(report(found, code)).splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    assert r"a\|b `c`\n<b> \x1b[31m" in lines[-1]


def test_the_key_and_other_names_are_quoted(make_table, capsys):
    odd = "x](http://evil) <b>\x1b[31m"
    ids = [f"i{number}" for number in range(40)]
    tables = [make_table({odd: ids, "v": [number] + [1.0] * 39, "y": ["a", "b"] * 20}) for number in (1.5, 2.5)]
    found = diff([odd, odd], {odd: compare_tables(*tables), "p": NotLoaded(revisions=(odd,))}, {odd: (odd,)})
    text = markdown(report(found, code))
    assert "matched by the key `x](http://evil) <b>\\x1b[31m`" in text
    spans = re.findall(r"`[^`]*`", text)
    assert text.count("evil") == sum(span.count("evil") for span in spans) > 6
    assert "\x1b" not in text
    show(report(found, visible))
    assert "\x1b" not in capsys.readouterr().out


def test_an_edit_that_is_not_loaded_is_not_said_to_be_nothing():
    for outdated, title, line in (
        ({"p": ("data/raw/p.csv",)}, "p: not loaded yet", "The tables that were loaded are the same."),
        ({}, "p: unchanged", "Nothing changed: the same file."),
    ):
        text = markdown(report(diff(["A", "B"], {"p": SameFile()}, outdated), str))
        assert title in text
        assert line in text
