"""Every setting has its default and a meaning, in params.yaml and in the schema for editors."""

import json

from lockstep.intake.editing.yaml_entries import with_entry
from lockstep.intake.problems.settings_reference import SCHEMA, STRUCTS, commented, meanings, schema, with_defaults
from lockstep.kernel.settings import convert
from lockstep.kernel.strict_yaml import parse_yaml

import msgspec
import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from jsonschema import Draft202012Validator
from workspace import ROOT

PARAMS = (ROOT / "params.yaml").read_text()
IRIS = "".join(
    line[4:] for line in PARAMS[PARAMS.index("  iris:\n") + 8 : PARAMS.index("\n  housing:")].splitlines(keepends=True)
)
ADDED = {
    "load": {"path": "data/raw/x.csv", "task": "regression", "target": "amount " * 20 + "paid", "drop": ["a", "b: c"]},
    "split": {"checks": {"rare_class": "error"}},
    "train": {
        "model": "voting",
        "kind": "regressor",
        "version": 1,
        "costs": {"false_positive": 1, "false_negative": 5},
        "hyperparameters": {"members": [{"model": "ridge", "alpha": 1.5}, {"model": "svm"}]},
    },
}


def test_the_defaults_are_those_of_the_structs():
    defaults = with_defaults({})
    assert list(defaults) == list(STRUCTS)
    for section, struct in STRUCTS.items():
        required = {field.name for field in msgspec.structs.fields(struct) if field.required}
        given = {"path": "x", "task": "regression", "model": "ridge", "kind": "regressor", "version": 1}
        least = {key: given[key] for key in required}
        assert convert(least, struct, section) == convert({**defaults[section], **least}, struct, section)
        assert set(defaults[section]) == set(struct.__struct_fields__)


def test_the_demonstration_says_of_each_setting_what_the_reference_says():
    reference = meanings(commented(with_defaults({})))
    shown = meanings(IRIS)
    assert {place: shown.get(place) for place in reference if place != "report.title"} == {
        place: meaning for place, meaning in reference.items() if place != "report.title"
    }
    assert shown.keys() - reference.keys() == {f"train.hyperparameters.{key}" for key in ("n_estimators", "max_depth")}


def test_a_commented_block_is_the_settings_and_its_lines_fit_an_editor():
    whole = with_defaults(ADDED)
    text = commented(whole)
    assert parse_yaml(text.encode(), "P") == whole
    assert max(map(len, text.splitlines())) <= 122
    assert whole["split"]["checks"] == {**with_defaults({})["split"]["checks"], "rare_class": "error"}
    assert whole["train"]["hyperparameters"] == ADDED["train"]["hyperparameters"]
    assert "  missing_target: error           # rows without a value in the target: error (refuse" in text


def test_dvc_changes_the_one_line_that_it_is_told_to_change(tmp_path):
    """As ``dvc exp run -S`` does it."""
    whole = with_defaults({**ADDED, "load": {**ADDED["load"], "target": "paid"}})
    text = with_entry("problems: {}\n", ROOT / "params.yaml", "problems", "x", whole, commented(whole))
    (tmp_path / "params.yaml").write_text(text)
    with modify_yaml(tmp_path / "params.yaml") as settings:
        settings["problems"]["x"]["diagnose"]["top_features"] = 3
    assert (tmp_path / "params.yaml").read_text() == text.replace("top_features: 4", "top_features: 3")


def test_the_schema_of_params_yaml_is_that_of_the_settings():
    assert json.loads((ROOT / SCHEMA).read_text()) == json.loads(json.dumps(schema())), "type: make schema"
    assert PARAMS.startswith(f"# yaml-language-server: $schema={SCHEMA}\n")


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        (lambda iris: None, True),
        (lambda iris: iris.update(tune=None), True),
        (lambda iris: iris["tune"].update(trials=-1), False),
        (lambda iris: iris["load"].update(quirk=[]), False),
        (lambda iris: iris["split"]["checks"].update(rare_class="maybe"), False),
        (lambda iris: iris.pop("train"), False),
        (lambda iris: iris["train"].update(threshold="cost", costs={"false_positive": 1, "false_negative": 2}), True),
    ],
)
def test_an_editor_finds_what_the_stages_would_refuse(change, allowed):
    settings = yaml.safe_load(PARAMS)
    change(settings["problems"]["iris"])
    Draft202012Validator.check_schema(schema())
    assert Draft202012Validator(schema()).is_valid(settings) is allowed


def test_every_setting_in_the_schema_has_a_description():
    parts = schema()["$defs"]
    undescribed = [
        f"{name}.{key}" for name, part in parts.items() for key, value in part["properties"].items()
        if "description" not in value and "$ref" not in value and name not in ("Costs", "KeptRows")
    ]  # fmt: skip
    assert undescribed == []
