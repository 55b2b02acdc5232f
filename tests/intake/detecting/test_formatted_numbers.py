"""Columns of numbers that would else be text: how they are written is found if one reading is possible, else said."""

from unittest import mock

from lockstep.intake.detecting.file_format import look
from lockstep.intake.detecting.formatted_numbers import Doubt, NumberForm, find_number_forms
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.kernel.errors import DataError
from lockstep.reading import column_types
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import read_contract
from lockstep.reading.csvfile import TEXT, TextTable
from lockstep.reading.number_marks import Marks

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import drawn

NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
POINTS = [f"{number}.25" for number in range(60)]


def find(cells, others=(), usual=Format(), **own):
    """How column c is read, beside a column whose points may settle what the decimal mark is."""
    cells = [*cells] * (60 // len(cells) + 1)
    columns = {"c": cells, "o": [*(others or ["5"])] * 60}
    found, doubts = find_number_forms({name: pa.array(texts, TEXT) for name, texts in columns.items()}, usual, **own)
    assert set(found) | set(doubts) <= {"c"}
    return found.get("c") or doubts.get("c")


def form(decimal=".", thousands="", words=(), **marks):
    return Format(decimal, thousands, (*Format().missing, *words), (), Marks(**marks))


FOUND = {
    "dollars": (["$1,235.81", "$7.5", "-$3"], form(thousands=",", prefix="$")),
    "euros behind": (["1.234,56 €", "7,5€"], form(",", ".", suffix="€")),
    "a code": (["USD 1,200.50", "USD 7"], form(thousands=",", prefix="USD")),
    "a code behind": (["1,200.50 EUR", "7 EUR"], form(thousands=",", suffix="EUR")),
    "Rs.": (["Rs. 1,19,873", "Rs. 500"], form(thousands=",", prefix="Rs.", groups="indian")),
    "Rs. with a stroke": (["Rs 1,200.5/-", "Rs 500/-"], form(thousands=",", prefix="Rs", suffix="/-")),
    "lakhs": (["1,19,873", "95,000"], form(thousands=",", groups="indian")),
    "lakhs with a zero": (["1,19,873", "0,95,000"], form(thousands=",", groups="indian")),
    "millions": (["1,119,873", "95,000"], form(thousands=",")),
    "per cent": (["53%", "7.5 %"], form(suffix="%")),
    "a unit": (["12.4 kg", "7kg"], form(suffix="kg")),
    "an unknown unit behind a blank": (["12 cups", "7 cups"], form(suffix="cups")),
    "an unknown unit behind a fraction": (["12.5xyz", "7.5xyz"], form(suffix="xyz")),
    "square metres": (["12 m2", "7.5 m2"], form(suffix="m2")),
    "parentheses": (["(57.21)", "131.00"], form(negative="parentheses")),
    "dollars in parentheses": (["($1,257.21)", "$131.00"], form(thousands=",", prefix="$", negative="parentheses")),
    "a trailing minus": (["57.21-", "131.00"], form(negative="trailing minus")),
    "the minus of Unicode": ([f"{MINUS}57.21", "131.00"], form(negative="unicode minus")),
    "two kinds of minus": (["-5", f"{MINUS}5", "7"], form(negative="unicode minus")),
    "a unit per 100 of another": (["6.1 l/100km", "5 l/100km"], form(suffix="l/100km")),
    "points between thousands beside decimal points": (["1.234,50", "12,75"], form(",", ".")),
    "magnitudes": (["1.2k", "3M", "950"], form(magnitudes=True)),
    "k throughout": (["1.2k", "3k"], form(magnitudes=True)),
    "money in millions": (["€1.5M", "€3M"], form(prefix="€", magnitudes=True)),
    "a letter that is a unit": (["300 K", "273.15 K"], form(suffix="K")),
    "Swiss": (["CHF 1'234.50", "CHF 5"], form(thousands="'", prefix="CHF")),
    "spaces that are not broken": ([f"1{NBSP}234.5", "950"], form(thousands=NBSP)),
    "blanks around": (["  $5.5 ", "$7"], form(prefix="$")),
    "a gap": (["$1,235.81", "", "NA", "$7"], form(thousands=",", prefix="$")),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_form_is_found_where_every_cell_agrees(name):
    cells, expected = FOUND[name]
    found = find(cells)
    assert isinstance(found, NumberForm)
    assert found.form == expected
    assert (found.words, found.strays) == ({}, {})


MANY = [str(number) for number in range(12)]
WORDS = {
    "a dash": ([*MANY, "-"], "-"),
    "a point": ([*MANY, "."], "."),
    "errors of Excel": ([*MANY, "#N/A", "#DIV/0!"], "#N/A #DIV/0!"),
    "C's": ([*MANY, "1.#QNAN", "-1.#IND", "-nan(ind)"], "1.#QNAN -1.#IND -nan(ind)"),
    "MySQL's": ([*MANY, r"\N"], r"\N"),
    "most are missing": ([*MANY, *["#N/A"] * 20], "#N/A"),
    "unknown": ([*MANY, "Unknown"], "Unknown"),
    "a dash beside money": ([f"${number}" for number in MANY] + ["-"], "-"),
    "a dash in a column of two values": (["0", "1", "-"], "-"),
    "a word of its own": ([*MANY, *MANY, "ask"], "ask"),
}


@pytest.mark.parametrize("name", WORDS)
def test_words_for_a_missing_value_are_found_among_numbers(name):
    cells, words = WORDS[name]
    found = find(cells)
    assert isinstance(found, NumberForm)
    assert set(found.words) == set(words.split())
    assert set(found.form.missing) == {*Format().missing, *words.split()}
    assert sum(found.words.values()) == sum(cell in words.split() for cell in [*cells] * (60 // len(cells) + 1))


NOT = {
    "numbers": ["1", "2.5"],
    "missing": ["NA", ""],
    "codes": ["0114101516", "7129300520"],
    "codes, few with a leading zero": [*map(str, range(10001, 10050)), "01001"],
    "letters and digits": ["A5", "5B", "7C"],
    "house numbers": ["12B", "7", "9A"],
    "addresses": [f"{number} {name}" for number, name in enumerate("abcdefgh")],
    "streets": [f"{number} {name} STREET" for number in range(12) for name in ("STATE", "MAIN", "OAK")],
    "levels": [">50K", "<=50K"],
    "levels in an order": ["1. Basic", "2. Some College", "3. Graduate"],
    "one level with its number": ["2. Middle Atlantic"],
    "levels with their numbers": [*["1. White"] * 50, "2. Black", "3. Other"],
    "dates": ["2024-01-05"],
    "German dates": ["5.1.2024"],
    "American dates": ["1/5/2024"],
    "times": ["12:30", "9:05"],
    "IP addresses": ["10.0.0.1", "10.0.0.2"],
    "versions": ["1.10.2", "1.9.1"],
    "words": ["red", "blue"],
    "booleans": ["true", "false"],
    "sizes": ["S", "M", "10"],
    "a level among few": ["0", "1", "unknown"],
    "classes and a word": ["1", "2", "3", "crew"],
    "a few numbers": ["5", "x", "5%"],
    "ranges": ["1-5", "6-10"],
    "scientific codes": ["1E5", "A12"],
    "negative dates": ["-"],
}


@pytest.mark.parametrize("name", NOT)
def test_no_form_and_no_doubt(name):
    assert find(NOT[name]) is None


DOUBTS = {
    "two currencies": ([*["$5"] * 50, "€5"], "not all in one unit: $ (100 cells), € (2 cells)", "--numbers c reads"),
    "a currency that lacks": ([*["$5"] * 50, "5"], "not all in one unit: $ (100 cells), none (2 cells)", "--numbers c"),
    "per cent that lacks": (["5%", "7%", "9"], "% (42 cells), none (21 cells)", "--numbers c"),
    "four currencies": (
        [f"{sign}{i}" for i in range(15) for sign in "$€£¥"], "$ (30 cells), £ (30 cells), ¥ (30 cells), € (30 cells)",
        "write them in one way in the file",
    ),
    "units of which none is frequent": ([f"{i} {unit}" for i in range(9) for unit in ("kg", "lb", "oz")], "lb", "way"),
    "a currency before and behind": (
        [cell for i in range(15) for cell in (f"USD {i}", f"{i} USD")], "0 USD (45 cells), USD 0 (45 cells)",
        "--numbers c",
    ),
    "at least": ([f"{i}+" for i in range(12)], "all its numbers have '+', which may say", "--numbers c reads"),
    "about": ([f"~{i}" for i in range(12)], "all its numbers have '~', which may say that they", "--numbers c reads"),
    "a limit": (["<5", *map(str, range(11))], "not all marked alike: none (66 cells), < (6 cells)", "6 other cells"),
    "remarks": ([f"{i}[1]" for i in range(12)], "72 of its 72 cells are no numbers that can", "as plain numbers"),
    "ordinals": ([f"{i}th" for i in range(4, 20)] + ["1st", "2nd"], "cells are no numbers that", "--numbers c reads"),
    "letters for a sign": (
        [f"{sign} +{i}.5" for i in range(9) for sign in "DR"], "72 of its 72 cells are no numbers", "as plain",
    ),
    "full width": ([chr(0xFF10 + i) for i in range(10)], "70 of its 70 cells are no numbers", "write them as plain"),
    "a minus that is a dash": (
        [*[f"\N{EN DASH}{i}" for i in range(9)], *map(str, range(5))], "45 of its 70 cells are no", "as plain"
    ),
    "a zero before it": ([f"$0{i}.50" for i in range(10)], "70 cells are no numbers that can", "as plain numbers in"),
    "quotes": ([f"'{i}" for i in range(10)], "70 of its 70 cells are no numbers that can be read, as \"'0\"", "plain"),
    "a fifth is no number": (
        [*[f"${i}" for i in range(12)], *["call us"] * 3], "15 of its 75 cells are no numbers that can be",
        "--numbers c reads numbers such as $10, and takes the 15 other cells for missing",
    ),
    "two units": ([*["5 kg"] * 9, "5 lb"], "kg (63 cells), lb (7 cells)", "takes the 7 other cells for missing"),
    "an Indian group among Western ones": (["1,234,567", "1,19,873"], "written in two ways", "--numbers c"),
    "two decimal marks": (["61.30", "49,20"], "in two ways, as '61.30' and '49,20' are", "in one way in the file"),
    "a minus and parentheses": (["-5", "(5)", "7"], "marked by minus and by parentheses", "--numbers c"),
    "nothing but parentheses": (["(1990)", "(2001)"], "all its numbers have parentheses", "--numbers c"),
    "a code or a unit": (["101A", "102A"], "may be a number and its unit, or a code", "--numbers c"),
    "telephone numbers": (["612 345 678", "612 345 679"], "may be telephone numbers", "--numbers c"),
    "ranges": ([*[str(number) for number in range(50)], "400 - 520"], "as '400 - 520'", "takes the 2 other cells"),
    "groups or decimals": (["1,234", "5,678"], "no other cell decides it", "with --thousands , or --decimal ,"),
    "dollars or cents": (["$1,234", "$5,678"], "no other cell decides it", "with --thousands , or --decimal ,"),
    "points": (["$1.234", "$5.678"], "no other cell decides it", "with --thousands . or --decimal ."),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_a_column_that_can_be_read_in_two_ways_stays_text_and_is_said_to(name):
    cells, why, remedy = DOUBTS[name]
    found = find(cells)
    assert isinstance(found, Doubt), found
    assert why in found.why
    assert remedy in found.remedy


def test_other_cells_decide_what_a_comma_is():
    assert find(["$1,234", "$5,678"], POINTS).form == form(thousands=",", prefix="$")
    assert find(["1,234", "5,678"], POINTS).form == form(thousands=",")
    assert find(["€ 1,5", "€ 2,75"], POINTS).form == form(",", prefix="€")
    assert "other columns have decimal points" in find(["1,5", "2,75"], POINTS).why
    assert find(["$1,234", "$5,678"], ["1,5"], Format(decimal=",")).form == form(",", prefix="$")
    said = find(["$1,234", "$5"], usual=Format(thousands=","), given=["thousands"])
    assert said.form == form(thousands=",", prefix="$")


def test_one_price_decides_what_the_comma_in_another_is():
    cells = {"a": ["$1,234", "$5,678"] * 30, "b": ["$1.50", "$2.75"] * 30}
    found, doubts = find_number_forms({name: pa.array(texts, TEXT) for name, texts in cells.items()}, Format())
    assert (found["a"].form, doubts) == (form(thousands=",", prefix="$"), {})


def test_one_column_of_groups_decides_what_the_comma_in_another_is():
    cells = {"a": ["13,886", "5,678"] * 30, "b": ["1,234,567", "983,182"] * 30}
    found, doubts = find_number_forms({name: pa.array(texts, TEXT) for name, texts in cells.items()}, Format())
    assert (found["a"].form, doubts) == (form(thousands=","), {})


@pytest.mark.parametrize("polluted", ["1,234.5", "1,234,567"])
def test_one_cell_does_not_make_groups_of_commas_that_are_decimal_marks_in_another_column(polluted):
    """30,147 would be a thousand times what it is."""
    cells = {"a": ["30,147", "5,678"] * 60 + [polluted], "b": ["39,01"] * 121}
    found, doubts = find_number_forms({name: pa.array(texts, TEXT) for name, texts in cells.items()}, Format())
    assert "a" not in found
    assert doubts["a"].why.startswith(f"only 1 of its cells, as {polluted!r}, is not written as ")


def test_advice_is_tried_before_it_is_given():
    """A decimal comma would make the column of points text: it is not advised."""
    cells = {"a": ["1,234", "5,678"] * 30, "b": ["1.5"] * 60, "c": ["1,5"] * 60}
    columns = {name: pa.array(texts, TEXT) for name, texts in cells.items()}
    _, doubts = find_number_forms(columns, Format())
    assert doubts["a"].remedy == "add the table with --thousands ,"


def test_what_the_user_says_decides():
    assert find(["$1,235.81"], texts=["c"]) is None
    forced = find([*["5 kg"] * 9, "5 lb"], numbers=["c"])
    assert forced.form == form(suffix="kg", others="missing")
    assert forced.strays == {"5 lb": 7}
    assert find(["101A", "102A"], numbers=["c"]).form == form(suffix="A")
    assert find([*MANY, "-"], given=["missing"]).why.startswith("5 of its 65 cells are no such numbers")
    with pytest.raises(DataError, match=r"--numbers c: fewer than 10 of its cells are numbers\."):
        find(["red"], numbers=["c"])
    with pytest.raises(DataError, match=r"--numbers c: .*no other cell decides it\. Say it with --decimal\."):
        find(["$1,234"], numbers=["c"])


POLLUTIONS = {
    "$1,235.81": ["€5.00", "5.00", "$5,00", "$1,19,873.00", "$5.00 kg", "$5k", "n.d.1", "$", "5.00 $"],
    "1,19,873": ["213,795", "$5", "1.19.873", "5%"],
    "12.4 kg": ["12.4", "12.4 lb", "12.4 KG", "12,4 kg"],
    "53%": ["53", "53‰", "53 %%", "53,5%"],
    "(57.21)": ["-57.21", "57.21-", "57,21", "[57.21]"],
    "1.2k": ["1.2T", "1,2k", "$1.2k", "1.2k kg"],
}


@pytest.mark.parametrize(("clean", "polluted"), [(clean, one) for clean, many in POLLUTIONS.items() for one in many])
def test_one_cell_of_another_form_in_900_leaves_no_form(clean, polluted):
    cells = [clean, clean.strip("()")] * 450 + [polluted] + [clean] * 20
    columns = {"c": pa.array(cells, TEXT), "o": pa.array(POINTS, TEXT)}
    found, doubts = find_number_forms(columns, Format())
    assert not found
    assert set(doubts) == {"c"}


AMOUNTS = st.lists(st.decimals(-(10**8), 10**8, allow_nan=False, places=2), min_size=60, max_size=80)


@drawn(40)
@given(
    amounts=AMOUNTS,
    prefix=st.sampled_from(["", "$", "€", "Rs.", "USD"]),
    suffix=st.sampled_from(["", "%", "kg", "EUR", "per month"]),
    comma=st.booleans(),
    word=st.sampled_from(["", "-", "#N/A", "unknown"]),
)
def test_a_table_in_any_form_is_found_written_and_read_back(tmp_path_factory, amounts, prefix, suffix, comma, word):
    cells = [f"{amount:,.2f}" for amount in amounts]
    cells = [cell.translate(str.maketrans(",.", ".,")) if comma else cell for cell in cells]
    cells = [f"{prefix}{cell} {suffix}".strip() for cell in cells] + [word] * 5
    columns, path = {"c": pa.array(cells, TEXT)}, tmp_path_factory.mktemp("c") / "c.yaml"
    found, _ = find_number_forms(columns, Format())
    table = TextTable(pa.table(columns), np.arange(len(cells)) + 2)
    forms = {name: one.form for name, one in found.items()}
    typed = typed_frame(table, "f.csv", Format(), dict.fromkeys(found, "number"), forms)
    assert typed.frame["c"].dropna().tolist() == [float(amount) for amount in amounts]
    assert typed.missing_as["c"] == ({word: 5} if word else {"": 5})
    contract = infer_contract(typed.frame, found, Format())
    write_contract(contract, path)
    assert read_contract(path) == contract
    assert contract.forms(Format()) == {
        name: one._replace(missing_texts=tuple(found[name].words)) for name, one in forms.items()
    }


POLLUTED = (
    *(
        "1.234",
        "1,234",
        "12,34",
        "1.2.3",
        "1,2",
        "1.234,5",
        "1,234.5",
        "0,5",
        "007",
        "5-7",
        "5/7",
        "~5",
        "5+",
        "<5",
        "5?",
    ),
    *(
        "n.a.",
        "x",
        "-",
        "--",
        "\N{EN DASH}5",
        "\N{FULLWIDTH DIGIT FIVE}",
        "5e",
        "1e400",
        "0x1F",
        "12:30",
        "(5",
        "5 5",
        "$",
    ),
)


@drawn(30)
@given(
    decimal=st.sampled_from(".,"),
    delimiter=st.sampled_from(",;\t"),
    places=st.integers(0, 4),
    grouped=st.booleans(),
    prefix=st.sampled_from(["", "", "$", "EUR "]),
    suffix=st.sampled_from(["", "", "%", " kg"]),
    polluted=st.sampled_from(POLLUTED),
    seed=st.integers(0, 1000),
)
def test_one_odd_cell_in_a_late_row_is_refused_or_declared_missing_or_said(
    tmp_path_factory, decimal, delimiter, places, grouped, prefix, suffix, polluted, seed
):
    group = {".": ",", ",": "."}[decimal] if grouped else ""
    values = np.random.default_rng(seed).uniform(-5000, 50_000, 1200).round(places).tolist()
    mark = str.maketrans({",": group, ".": decimal})
    cells = [prefix + f"{value:,.{places}f}".translate(mark) + suffix for value in values]
    lines = [f'"{cell}"' for cell in [*cells[:-50], polluted, *cells[-50:]]]
    path = tmp_path_factory.mktemp("t") / "f.csv"
    path.write_text(f"c{delimiter}y\n" + "".join(f"{line}{delimiter}{'uv'[i % 2]}\n" for i, line in enumerate(lines)))
    said = []
    with mock.patch.object(column_types.logger, "warning", said.append):
        try:
            facts = look(path, {})
        except DataError as error:
            assert "'c'" in str(error)
            return
    if facts.frame["c"].dtype.kind not in "if":
        assert "c" in facts.doubts or said
        return
    found = facts.frame["c"].tolist()
    odd = found.pop(len(found) - 51)
    is_said = bool(facts.warnings)
    assert is_said or found == values
    if odd == odd:  # a number, though an odd one: by the form that all of them are of
        form = facts.numbers["c"].form if "c" in facts.numbers else Format(facts.settings.get("decimal", "."))
        form = form._replace(thousands=facts.settings.get("thousands", form.thousands))
        assert is_said or pc.match_substring_regex(pa.scalar(polluted), form.number).as_py()
    else:
        assert polluted in facts.numbers["c"].words
