"""Reading params.yaml: what YAML is accepted, what each error says."""

import json
import string
import time
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.settings import (
    Problem,
    Seed,
    Settings,
    check_problem_name,
    check_problems,
    convert,
    read_problems,
)
from lockstep.kernel.strict_yaml import MAX_BYTES, parse_yaml, read_yaml

import msgspec
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML  # which DVC reads params.yaml with
from small import drawn
from workspace import ROOT


@pytest.fixture
def params(tmp_path):
    def write(text):
        path = tmp_path / "p.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def error(function, *args):
    with pytest.raises(SettingsError) as caught:
        function(*args)
    path = next((str(arg) for arg in args if isinstance(arg, Path)), "\0")
    return str(caught.value).replace(path, "P")


SCALARS = """1e-3 1e3 1E5 1.5e+3 0.1 .5 5. -.5 +1 +.5 0 -0 00 010 08 -010 08.5 1. 1.e5 0.1e-10 1e400 .inf -.inf +.inf
no yes on off y n Yes NO true True TRUE tRue false False FALSE null Null NULL nULL ~ . + -- .e5 1e 1e5.0 1.2.3
12:30:45 190:20:30 "1" '1' 'null' "true" 123456789012345678901234567890 a,b #comment
.Inf -.INF .nan .NaN .NAN"""
AMBIGUOUS = ["1_000", "1_0.5", "0x1F", "0o10", "0b1", "2024-01-01", "2024-1-1T10:00:00"]


@pytest.mark.parametrize(
    "scalar",
    [
        *SCALARS.split(),
        "",
        "a b",
        "|\n  1",
        ">\n  true",
    ],
)
def test_scalars_are_read_as_dvc_reads_them(params, scalar):
    text = f"x: {scalar}\n"
    ours, theirs = read_yaml(params(text))["x"], YAML(typ="safe").load(text)["x"]
    assert (type(ours), repr(ours)) == (type(theirs), repr(theirs))


@pytest.mark.parametrize("scalar", AMBIGUOUS)
def test_scalars_that_readers_take_for_different_things_are_refused(params, scalar):
    expected = f"P line 1: settings may not use {scalar}, which readers of YAML take for different things. Quote it"
    assert error(read_yaml, params(f"x: {scalar}\n")).startswith(expected)
    assert read_yaml(params(f"x: '{scalar}'\n"))["x"] == scalar


TEXTS = st.text(max_size=9) | st.from_regex(r"\A[-+]?[0-9][0-9._eExob:Tt -]{0,9}\Z") | st.sampled_from(SCALARS.split())


@pytest.mark.parametrize("flow", [False, None])
@drawn(200)
@given(texts=st.lists(TEXTS, max_size=5))
@example(texts=AMBIGUOUS + SCALARS.split())
def test_texts_are_written_so_that_every_reader_reads_the_same_texts(texts, flow):
    content = {"a": texts, "b": [{"c": text} for text in texts]}
    written = dump_yaml(content, flow=flow)
    assert parse_yaml(written.encode(), "P") == content
    assert YAML(typ="safe").load(written) == content


def test_other_values_are_written_as_dvc_writes_them():
    content = {"a": None, "b": {"c": True, "d": 1, "e": 0.5}, "f": [], "g": {}, "h": float("inf"), "i": 1e-300}
    assert dump_yaml(content) == "a:\nb:\n  c: true\n  d: 1\n  e: 0.5\nf: []\ng: {}\nh: .inf\ni: 1.0e-300\n"
    assert parse_yaml(dump_yaml(content).encode(), "P") == content


def test_documented_scalars(params):
    assert read_yaml(params("{a: 1e-3, b: no, c: 010, d: ~, e: 'no', f: [1, 1.5, x]}")) == {
        "a": 0.001, "b": "no", "c": 10, "d": None, "e": "no", "f": [1, 1.5, "x"],
    }  # fmt: skip
    assert not isinstance(read_yaml(params("x: '2024-01-01'"))["x"], date)


def test_a_byte_order_mark_is_no_part_of_the_first_key(params):
    assert read_yaml(params("\ufeffa: 1\n")) == {"a": 1}


BOMB = "a0: &a0 [lol]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
DEEP = "P line 1: settings may not use nesting deeper than 12. Flatten it."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [x, y:z]\n", "P line 1: settings may not use y:z between brackets, of which some readers"),
        ("a: 1\nb: &x 2\n", "P line 2: settings may not use anchors and aliases (& and *). Write the value out."),
        ("a: 1\nb: *x\n", "P line 2: settings may not use anchors and aliases (& and *)."),
        ("a: &x {b: 1}\n", "P line 1: settings may not use anchors and aliases (& and *)."),
        (BOMB, "P line 1: settings may not use anchors and aliases (& and *)."),
        (
            "a: 1\nb: !!python/object/apply:os.system [id]\n",
            "P line 2: settings may not use the tag tag:yaml.org,2002:py",
        ),
        ("a: !!str 1\n", "P line 1: settings may not use the tag tag:yaml.org,2002:str. Write a plain value."),
        ("a: !x {}\n", "P line 1: settings may not use the tag !x. Write a plain value."),
        ("[" * 13, DEEP),
        ("[" * 60_000, DEEP),
        ("{a: " * 15_000, DEEP),
        ("- " * 30_000, DEEP),
        ("? " * 30_000, DEEP),
        (
            "a:\n" + "".join(f"{' ' * i}b:\n" for i in range(1, 20)),
            "P line 13: settings may not use nesting deeper than",
        ),
        ("a" * (MAX_BYTES + 1), "P has more than 4,194,304 bytes; no settings file has."),
        (f"a: {'1_' * 2_000_000}1\n", f"P line 1: settings may not use {'1_' * 28}1..., which readers of YAML take"),
        (f"{'a' * 1000}: 1\n" * 2, f"P line 2 is not valid YAML: the key '{'a' * 57}...' stands twice."),
        ("a: 1\nb: 2\na: 3\n", "P line 3 is not valid YAML: the key 'a' stands twice. Correct it there."),
        ("a:\n  b: 1\n  'b': 2\n", "P line 3 is not valid YAML: the key 'b' stands twice. Correct it there."),
        ("a: [1\nb: 2\n", "P line 2 is not valid YAML: "),
        ("a: 1\n\tb: 2\n", "P line 2 is not valid YAML: "),
        (
            "".join(f"{i:x}:\n" for i in range(10_001)),
            "P line 10001: settings may not use a mapping of more than 10,000 keys. Remove some.",
        ),
        ("a: 1\n---\nb: 2\n", "P line 2 is not valid YAML: "),
        ("a: \x01\n", "P is not valid YAML: unacceptable character #x0001"),
        (b"a: caf\xe9\n", "P is not UTF-8 text (byte 6). Save it as UTF-8."),
        ("a: 1\n[1, 2]: x\n", "P line 2 is not valid YAML: a key must be a single word. Correct it there."),
        ("{a: 1}: x\n", "P line 1 is not valid YAML: a key must be a single word."),
    ],
)
def test_yaml_that_is_refused_at_once(params, text, message):
    path, start = params(text), time.perf_counter()
    assert error(read_yaml, path).startswith(message)
    assert time.perf_counter() - start < 1


def test_the_deepest_and_the_largest_that_is_accepted(params):
    assert read_yaml(params("[" * 12 + "]" * 12))
    assert len(read_yaml(params("a" * MAX_BYTES))) == MAX_BYTES


@pytest.mark.parametrize("there", [{}, {"max_depth": 10}])
def test_a_setting_that_is_left_to_its_default_is_set_for_an_experiment_as_documented(params, there):
    assert "-S ++problems.iris.train.hyperparameters.max_depth=3" in (ROOT / "docs/experiments.md").read_text()
    path = params(f"problems: {{iris: {{train: {{hyperparameters: {json.dumps(there)}}}}}}}\n")
    apply_overrides(path, ["++problems.iris.train.hyperparameters.max_depth=3"])
    assert read_problems(path)["iris"]["train"] == {"hyperparameters": {"max_depth": 3}}


def test_hundreds_of_problems_have_room():
    sections = yaml.safe_load((ROOT / "params.yaml").read_text())["problems"]["iris"]
    text = "problems:\n" + "".join(f"  p{i}: {json.dumps(sections)}\n" for i in range(500))
    assert len(check_problems(parse_yaml(text.encode(), "P"), "P")) == 500


def test_a_number_of_any_length_is_a_number(params):
    assert read_yaml(params(f"a: {'9' * 5000}"))["a"] == float("inf")  # as 1e5000 is


def test_files_that_cannot_be_read(tmp_path):
    missing = "P does not exist. Run from the repository's root, or name the file."
    assert error(read_yaml, tmp_path / "no.yaml") == missing
    assert error(read_yaml, tmp_path) == "P cannot be read: Is a directory."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "P: 'problems' must map each problem's name to its sections, or be {}: there is none."),
        ("problems:\n", "P: 'problems' must map each problem's name"),
        ("problems: [a]\n", "P: 'problems' must map each problem's name"),
        ("- a\n", "P: 'problems' must map each problem's name"),
        ("problems: {a: 1}\n", "P: problems.a must map section names (load, split, ...) to settings."),
        ("problems: {a/b: {}}\n", 'P: problems.a/b: "a/b" is not a problem name. Allowed: letters, digits, '),
        (
            "problems: {1: {}}\n",
            "P: problems.1: 1 is not a problem name. Allowed: letters, digits, '_' and '-', at most",
        ),
        ("problems: {a: {laod: {}}}\n", "P: problems.a.laod is not a section. Allowed, nearest first: load, "),
        ("problems: {true: {}}\n", "P: problems.True: true is not a problem name."),
        (
            "problems: {a: {}, index: {}}\n",
            "P: problems.index: the name 'index' is taken by the page of all problems, ",
        ),
        ("problems: {a: {}, a_tune: {}}\n", "P: problems.a_tune would write to files of 'a'. Rename it."),
    ],
)
def test_problems_that_are_refused(params, text, message):
    assert error(read_problems, params(text)).startswith(message)


@pytest.mark.parametrize("name", ["a", "A-b_3", "a-2024_", "x" * 64, "index2", "e5"])
def test_problem_names_that_are_allowed(params, name):
    assert read_problems(params(f"problems: {{{name}: {{}}}}\n")) == {name: {}}


@drawn(300)
@given(
    name=st.builds("".join, st.tuples(st.sampled_from(string.ascii_letters), st.text("aeEnx0179_-", max_size=8)))
    | st.sampled_from(["null", "true", "False", "nan", "inf", "on"])
)
def test_dvc_changes_settings_of_every_problem_whose_name_is_allowed(tmp_path_factory, name):
    check_problem_name(name, "here")
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    section = {"seed": 1, "hyperparameters": {"a": 1}}
    path.write_text(dump_yaml({"problems": {name: {"train": section}, "other": {}}}))
    apply_overrides(path, [f"problems.{name}.train.seed=2", f"~problems.{name}.train.hyperparameters"])
    assert read_problems(path) == {name: {"train": {"seed": 2}}, "other": {}}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "_a",
        ".",
        "..",
        "a/b",
        "a b",
        "a\n",
        "a;b",
        "é",
        "x" * 65,
        "7",
        "2024_sales",
        "2-a",
        "1e5",
        None,
        1,
        True,
    ],
)
def test_names_that_are_none(name):
    message = error(check_problem_name, name, "here")
    assert message.startswith("here: ")
    assert message.endswith(
        "is not a problem name. Allowed: letters, digits, '_' and '-', at most 64, beginning with a letter (in quotes "
        "if it is true, false or null)."
    )


@pytest.mark.parametrize("name", ["index", "Index"])  # one file where case makes no difference
def test_the_name_of_the_page_of_all_problems_is_taken(name):
    assert error(check_problem_name, name, "here") == (
        f"here: the name '{name}' is taken by the page of all problems, reports/index.html. Give another one."
    )


class Section(Settings, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1)]
    share: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.5
    seed: Seed = 1
    auto: bool | Literal["auto"] = "auto"
    column: str | None = None
    drop: tuple[str, ...] = ()
    deep: dict[str, Any] = msgspec.field(default_factory=dict)
    kind: Literal["a", "b"] = "a"
    most: Annotated[int, msgspec.Meta(ge=2, le=9)] = 2


class Key(Settings, frozen=True):
    seed: Seed = 7


class Nested(Settings, frozen=True):
    key: Key = Key()
    keys: tuple[Key, ...] = ()

    def __post_init__(self):
        if len(self.keys) > 2:
            raise ValueError("too many keys")


SEED = "Allowed: a whole number at least 0 and below 4294967296."


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ""}, '.name is "". Allowed: a text that is not empty.'),
        ({"name": None}, ".name is null. Allowed: a text that is not empty."),
        ({}, ".name is missing. Allowed: a text that is not empty."),
        ({"share": 1}, ".share is 1. Allowed: a number above 0 and below 1."),
        ({"share": float("nan")}, ".share is NaN. Allowed: a number above 0 and below 1."),
        ({"share": "0.2"}, '.share is "0.2". Allowed: a number above 0 and below 1.'),
        ({"seed": 4.0}, f".seed is 4.0. {SEED}"),
        ({"seed": True}, f".seed is true. {SEED}"),
        ({"seed": -1}, f".seed is -1. {SEED}"),
        ({"seed": 2**32}, f".seed is 4294967296. {SEED}"),
        ({"auto": "no"}, '.auto is "no". Allowed: true or false or one of auto.'),
        ({"column": 3}, ".column is 3. Allowed: a text or null."),
        ({"drop": "x"}, '.drop is "x". Allowed: a list, each item a text.'),
        ({"drop": ["x", 1]}, '.drop is ["x", 1]. Allowed: a list, each item a text.'),
        ({"drop": ["x" * 99, 1]}, f'.drop is ["{"x" * 55}.... Allowed: a list, each item a text.'),
        ({"deep": [1]}, ".deep is [1]. Allowed: a mapping with texts as keys."),
        ({"deep": {1: 2}}, '.deep is {"1": 2}. Allowed: a mapping with texts as keys.'),
        ({"kind": "c"}, '.kind is "c". Allowed: one of a, b.'),
        ({"most": 1}, ".most is 1. Allowed: a whole number at least 2 and at most 9."),
        ({"sede": 1}, ".sede is not a setting. Allowed, nearest first: seed, deep, share, name, "),
        ({1: 2}, ".1 is not a setting. Allowed, nearest first: "),
        ([1], " is [1]. Allowed: a mapping with the keys name, share, seed, auto, column, drop, deep, kind, most."),
    ],
)
def test_messages_name_the_key_its_value_and_what_is_allowed(values, message):
    if isinstance(values, dict) and values and "name" not in values:
        values = {"name": "x"} | values
    assert error(convert, values, Section, "here").startswith(f"here{message}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"key": {1: "x"}}, ".key.1 is not a setting. Allowed, nearest first: seed."),
        ({"key": {None: "x"}}, ".key.None is not a setting. Allowed, nearest first: seed."),
        ({"keys": [{}, {1: 2}]}, ".keys[1].1 is not a setting. Allowed, nearest first: seed."),
        ({"keys": [{}, {"seed": -1}]}, f".keys[1].seed is -1. {SEED}"),
        ({"keys": [{}] * 3}, ": too many keys."),
    ],
)
def test_messages_about_what_is_nested(values, message):
    assert error(convert, values, Nested, "here") == f"here{message}"


def test_a_former_setting_says_what_to_do_now():
    class Later(Settings, frozen=True):
        seed: int = 1
        former = {"sede": "Set seed instead."}  # noqa: RUF012

    assert error(convert, {"sede": 2}, Later, "here") == "here.sede is no setting any more. Set seed instead."
    assert convert({"seed": 2}, Later, "here").seed == 2


def test_settings_are_frozen_and_have_their_defaults():
    section = convert({"name": "x", "drop": ["a"], "share": 0.25}, Section, "here")
    assert section == Section(name="x", drop=("a",), share=0.25)
    with pytest.raises(AttributeError):
        section.seed = 2


PROBLEMS = "problems:\n  iris:\n    load: {name: x}\n    split:\n    train: {seed: 3, other: [1]}\n  housing: {}\n"


def test_sections_and_single_keys(params):
    problem = Problem(params(PROBLEMS), "iris")
    assert (problem.name, problem.section("load", Section)) == ("iris", Section(name="x"))
    assert problem.section("split", Key) == Key(seed=7)
    assert problem.pick("train", Key) == Key(seed=3)
    assert problem.pick("split", Key) == problem.pick("evaluate", Key) == Key(seed=7)


def test_messages_about_sections_and_problems(params):
    path = params(PROBLEMS)
    assert error(Problem, path, "iriss") == "P has no problem 'iriss'. It has: iris, housing. Did you mean 'iris'?"
    assert error(Problem, path, "zzz") == "P has no problem 'zzz'. It has: iris, housing."
    section = Problem(path, "iris").section
    missing = "problems.iris.evaluate is missing. Write 'evaluate: {}' there for all its defaults."
    assert error(section, "evaluate", Key) == f"{path}: {missing}"
    nearest = "problems.iris.train.other is not a setting. Allowed, nearest first: seed."
    assert error(section, "train", Key) == f"{path}: {nearest}"


@pytest.mark.parametrize("read", ["section", "pick"])
@pytest.mark.parametrize("value", ["[1]", "x", "1", "false", "0", "[]", '""'])
def test_a_section_must_be_a_mapping(params, read, value):
    problem = Problem(params(f"problems: {{iris: {{load: {value}}}}}"), "iris")
    assert "problems.iris.load is " in error(getattr(problem, read), "load", Key)
