"""What add decides of a table, with which reason, and what becomes of it in params.yaml."""

from pathlib import Path

from lockstep.commands.add import _parser
from lockstep.intake.decisions import FLAGS, Decision, decide, flag_of, problem_block
from lockstep.intake.file_format import TableFacts
from lockstep.kernel.errors import DataError, Setting, SettingsError
from lockstep.reading.column_types import MISSING
from lockstep.reading.dataframes import normalised_frame
from lockstep.reading.loading import LoadSettings

import numpy as np
import pandas as pd
import pytest


def facts(settings=None, reasons=None, missing_as=None, **columns):
    random = np.random.default_rng(0)
    label = random.choice(["u", "v"], 120)
    frame = {"row": np.arange(120), "size": random.normal(size=120), "label": label} | columns
    found = normalised_frame(pd.DataFrame(frame))
    return TableFacts(Path("f.csv"), found, "", settings or {}, reasons or {}, [], missing_as or {})


def test_each_decision_has_a_value_a_reason_and_a_flag():
    found = decide(facts(), {})
    assert found.target == Decision(Setting("load.target"), "label", "its name")
    assert found.task == Decision(Setting("load.task"), "classification", "a text column")
    assert found.drop == Decision(Setting("load.drop"), ["row"])
    assert found.group == Decision(Setting("split.group"), None, "it is an identifier that repeats")
    assert found.model == Decision(Setting("train.model"), "random_forest", "there are fewer than 5,000 rows")
    assert not any(decision.is_given for decision in (found.target, found.task, found.drop, found.model))
    assert found.warnings == []


def test_what_is_given_is_taken_and_said_to_be_given():
    given = {"load.target": "size", "load.drop": [], "split.time": "row", "train.model": "ridge"}
    found = decide(facts(), given)
    assert (found.target.value, found.target.reason, found.target.is_given) == ("size", "--target", True)
    assert found.task.value == "regression"
    assert (found.drop.value, found.time.value, found.model.value) == ([], "row", "ridge")
    with pytest.raises(SettingsError, match="cannot do regression"):
        decide(facts(), given | {"train.model": "logistic_regression"})


@pytest.mark.parametrize("setting", ["load.target", "load.drop", "split.group", "split.time"])
def test_columns_that_are_not_there_are_refused(setting):
    with pytest.raises(DataError, match=r"none.*It has: row, size, label\."):
        decide(facts(), {setting: ["none"] if setting == "load.drop" else "none"})


def test_the_column_of_a_group_or_time_is_not_dropped():
    assert decide(facts(), {"split.group": "row"}).drop.value == []
    assert decide(facts(), {"split.time": "row", "load.drop": ["row"]}).drop.value == []


def test_a_rare_class_is_weighted():
    rare = decide(facts(label=["u"] * 114 + ["v"] * 6), {}).class_weight
    assert (rare.value, rare.reason) == ("balanced", "the rarer class has 5.0% of the rows")
    assert decide(facts(label=["u"] * 60 + ["v"] * 60), {}).class_weight.value is None


def test_a_word_for_a_missing_value_that_is_a_class():
    table = facts(label=["None", "u", "v"] * 40)
    (missing,) = decide(table, {}).file_format
    assert missing.value == tuple(word for word in MISSING if word != "None")
    assert missing.reason == "'None' is a class of 'label', as frequent as one"
    assert decide(table, {"load.missing": ["NA"]}).file_format == ()
    assert decide(table._replace(missing_as={"size": {"None": 3}}), {}).file_format == ()


def test_the_block_has_what_was_decided_and_defaults():
    table = facts({"delimiter": ";", "missing": ("NA",)}, {"delimiter": "it fits best"})
    block = problem_block(decide(table, {}), Path("data/raw/f.csv"))
    assert list(block) == [
        "load",
        "split",
        "preprocess",
        "tune",
        "cross_validate",
        "train",
        "evaluate",
        "diagnose",
        "report",
    ]
    assert block["load"] == {
        "path": "data/raw/f.csv",
        "task": "classification",
        "target": "label",
        "drop": ["row"],
        "delimiter": ";",
        "missing": ["NA"],
    }
    assert (block["train"]["model"], block["train"]["kind"]) == ("random_forest", "classifier")


def test_flags_are_those_of_the_command_and_settings_those_of_the_stages():
    shown = _parser().format_help()
    for setting, flag in FLAGS.items():
        assert flag.split(" ")[0] in shown, setting
        if setting.startswith("load."):
            assert setting.removeprefix("load.") in LoadSettings.__struct_fields__
    assert {setting.removeprefix("load.") for setting in FLAGS} >= set(LoadSettings.__struct_fields__)
    assert (flag_of("load.skip_lines"), flag_of("load.path")) == ("--skip-lines", "FILE")
    assert flag_of("train.class_weight") == "train.class_weight"
