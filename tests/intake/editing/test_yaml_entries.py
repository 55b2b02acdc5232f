"""Entries of a section that people edit: added, removed and renamed, all other bytes as they were."""

from pathlib import Path

from lockstep.intake.editing.yaml_entries import with_entry, with_renamed_entry, with_setting, without_entries
from lockstep.kernel.errors import SettingsError

import pytest

FILE = Path("params.yaml")
TEXT = """\
# Above all.
problems:   # of two
  # The first.
  one:
    load: {path: data/one.csv}      # here
    # Within the first.

  # The second,
  # in two lines.
  two:
    load:
      path: 'data/two.csv'

# Of what follows.
other:
  one: 1
"""


def test_added_behind_the_last():
    added = with_entry(TEXT, FILE, "problems", "three", {"load": {"path": "x"}})
    assert added == TEXT.replace("two.csv'\n", "two.csv'\n\n  three:\n    load:\n      path: x\n")


@pytest.mark.parametrize("text", ["problems: {}   # none\n\nother: 1\n", "problems: {}", "# a\nproblems: { }\n# b\n"])
def test_added_to_none_and_removed_again(text):
    added = with_entry(text, FILE, "problems", "one", {"a": 1})
    assert "  one:\n    a: 1\n" in added
    assert without_entries(added, FILE, "problems", ["one"]).split() == text.replace("{ }", "{}").split()


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["one"], TEXT[TEXT.index("  # The first") : TEXT.index("  # The second")]),
        (["two"], TEXT[TEXT.index("\n  # The second") : TEXT.index("\n# Of what")]),
        (["three"], ""),
    ],
)
def test_removed_with_the_comments_above_and_within(names, gone):
    assert without_entries(TEXT, FILE, "problems", names) == TEXT.replace(gone, "", 1)


def test_all_removed():
    left = "# Above all.\nproblems: {}   # of two\n\n# Of what follows.\nother:\n  one: 1\n"
    assert without_entries(TEXT, FILE, "problems", ["one", "two"]) == left


def test_renamed_in_its_place():
    renamed = with_renamed_entry(TEXT, FILE, "problems", "one", "null", {"data/one.csv": "data/null.csv"})
    assert renamed == TEXT.replace("  one:\n    load: {path: data/one", "  'null':\n    load: {path: data/null", 1)
    with pytest.raises(SettingsError, match=r"params.yaml has problems.two already"):
        with_renamed_entry(TEXT, FILE, "problems", "one", "two", {})


@pytest.mark.parametrize(
    "text", ["other: 1\n", "problems: [1]\n", "problems: {one: {a: 1}}\n", "problems:\n", '{"problems": {"one": 1}}\n']
)
def test_another_layout_is_refused(text):
    for change in (
        lambda: with_entry(text, FILE, "problems", "two", {"a": 1}),
        lambda: without_entries(text, FILE, "problems", ["one"]),
    ):
        with pytest.raises(SettingsError, match=r"params.yaml"):
            change()


@pytest.mark.parametrize(
    "text",
    [
        "problems:\n  one:\n    split:\n      seed: 1\n    # of train\n    train: {}\n",
        "problems:\n  one:\n    split:\n      kept:   # a list\n      seed: 1\n    train: {}\n",
        "problems:\n  one:\n    split:\n      kept: null   # a list\n",
        "problems:\n  one:\n    split:\n      checks:\n        leak: error\n\n  two:\n    load: {}\n",
        "problems:\n  one:\n    split:\n      seed: 1",
    ],
)
def test_a_setting_is_set_in_lines_of_its_own_once_and_again(text):
    place = ["problems", "one", "split", "kept"]
    once = with_setting(text, FILE, place, {"file": "f.txt", "sha256": "a"})
    new = "        file: f.txt\n        sha256: a\n"
    assert new in once
    assert [line for line in text.splitlines() if line not in once.splitlines()] == [
        line for line in text.splitlines() if "kept: null" in line
    ]
    assert with_setting(once, FILE, place, {"file": "f.txt", "sha256": "b"}) == once.replace(": a\n", ": b\n")


def test_a_setting_of_a_section_in_one_line_is_left_to_the_user():
    with pytest.raises(SettingsError, match=r"no block 'problems\.one\.split:' .* by hand"):
        with_setting("problems:\n  one:\n    split: {}\n", FILE, ["problems", "one", "split", "kept"], {"a": 1})
