"""What add decides of a table, with which reason, and what becomes of it in params.yaml."""

from pathlib import Path

from lockstep.commands.intake.add import _parser
from lockstep.intake.choosing.setting_choices import FLAGS, Choice, flag_of, make_choices, problem_block
from lockstep.intake.detecting.file_format import TableFacts
from lockstep.kernel.errors import DataError, Setting, SettingsError
from lockstep.reading.column_types import MISSING, STRING_TYPE
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


def test_each_choice_has_a_value_a_reason_and_a_flag():
    found = make_choices(facts(), {})
    assert found.target == Choice(Setting("load.target"), "label", "its name")
    assert found.task == Choice(Setting("load.task"), "classification", "a text column")
    assert found.drop == Choice(Setting("load.drop"), ["row"])
    assert found.group == Choice(Setting("split.group"), None, "it is an identifier that repeats")
    why = "up to 10,000 rows the mean of several models tells more than one of them"
    assert found.model == Choice(Setting("train.model"), "voting", why)
    assert not any(choice.is_given for choice in (found.target, found.task, found.drop, found.model))
    assert found.warnings == []


def test_what_is_given_is_taken_and_said_to_be_given():
    given = {"load.target": "size", "load.drop": [], "split.time": "row", "train.model": "ridge"}
    found = make_choices(facts(), given)
    assert (found.target.value, found.target.reason, found.target.is_given) == ("size", "--target", True)
    assert found.task.value == "regression"
    assert (found.drop.value, found.time.value, found.model.value) == ([], "row", "ridge")
    with pytest.raises(SettingsError, match="cannot do regression"):
        make_choices(facts(), given | {"train.model": "logistic_regression"})


def test_votes_of_many_rows_are_calibrated_unless_the_flag_says_otherwise():
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=1000), "label": random.choice(["u", "v"], 1000)})
    table = TableFacts(Path("f.csv"), normalised_frame(frame), "", {}, {}, [], {})

    def written(table, given):
        found = make_choices(table, given)
        block = problem_block(found, Path("data/raw/f.csv"))["train"]
        assert block.get("calibrate") == found.calibrate.value
        return found.calibrate

    chosen = written(table, {})
    assert (chosen.value, chosen.is_given) == ("temperature", False)
    assert chosen.reason.startswith("from 1,000 rows on it lowered the log loss of such models")
    assert written(facts(), {}).value is None
    assert written(table, {"load.target": "size"}).value is None
    assert written(table, {"train.model": "k_neighbors"}).value is None
    for method in ("none", "sigmoid"):
        given = written(table, {"train.calibrate": method})
        assert (given.value, given.reason, given.is_given) == (method, "--calibrate", True)
    with pytest.raises(SettingsError, match=r"train\.calibrate is for classification\. Set it to none") as error:
        make_choices(table, {"load.target": "size", "train.calibrate": "isotonic"})
    assert Setting("train.calibrate") in error.value.parts


@pytest.mark.parametrize("setting", ["load.weight", "split.group", "split.time"])
def test_the_target_is_no_column_beside_it(setting):
    with pytest.raises(DataError, match=r"'label' is no column beside the target\. It has: row, size\."):
        make_choices(facts(), {setting: "label"})


def test_the_column_of_a_group_or_time_is_not_dropped():
    assert make_choices(facts(), {"split.group": "row"}).drop.value == []
    assert make_choices(facts(), {"split.time": "row", "load.drop": ["row"]}).drop.value == []


def test_a_weight_for_a_rare_class_is_proposed_with_what_it_trades_and_not_set():
    found = make_choices(facts(label=["u"] * 114 + ["v"] * 6), {})
    assert problem_block(found, Path("f.csv"))["train"]["class_weight"] is None
    (proposal,) = found.proposals
    assert proposal.startswith("the rarer class has 5.0% of the rows. train.class_weight: balanced in params.yaml ")
    assert proposal.endswith("probabilities are then those of equally frequent classes, not of the data")
    assert make_choices(facts(label=["u"] * 60 + ["v"] * 60), {}).proposals == []


DAYS = pd.date_range("2024-01-01", periods=120).astype(str)


@pytest.mark.parametrize("days", [DAYS, DAYS[::-1], np.repeat(DAYS[:60], 2)])
def test_rows_in_the_order_of_a_date_are_split_by_it(days):
    found = make_choices(facts(sold=days), {})
    assert (found.time.value, found.time.reason) == ("sold", "the rows are in its order, and later ones are to be told")
    assert found.drop.value == ["row"]
    assert found.proposals == []
    assert make_choices(facts(sold=days), {"split.time": None}).time.value is None


def test_the_time_is_a_feature_where_there_is_no_other():
    table = facts(sold=pd.to_datetime(DAYS))
    given = {"load.target": "size", "load.drop": ["row", "label"]}
    found = make_choices(table, given)
    assert found.parts == (
        Choice(
            Setting("split.time_is_feature"),
            True,
            "there is no feature beside 'sold', whose month, weekday, hour, ... the model gets",
        ),
    )
    assert problem_block(found, Path("f.csv"))["split"]["time_is_feature"] is True
    assert found.proposals == []
    assert make_choices(table, given | {"load.drop": ["row"]}).parts == ()
    assert make_choices(facts(sold=DAYS), given).parts == ()  # texts, which only order the rows


def test_rows_whose_classes_come_one_after_the_other_are_not_split_by_time():
    table = facts(label=np.repeat(["u", "v"], 60), sold=DAYS)
    assert make_choices(table, {}).time.value is None
    assert make_choices(table, {}).proposals[0].startswith("the split is at random, though 'sold' tells when")
    assert make_choices(table, {"load.target": "size"}).time.value == "sold"


def test_a_random_split_of_rows_that_have_a_time_is_said():
    shuffled = np.random.default_rng(0).permutation(DAYS)
    found = make_choices(facts(sold=shuffled), {})
    assert found.time.value is None
    (said,) = found.proposals
    assert said == (
        "the split is at random, though 'sold' tells when: if the model is to predict later rows, that flatters it; "
        "--time sold takes the last rows for the test"
    )
    american = [f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in shuffled]
    (said,) = make_choices(facts(sold=american), {}).proposals
    assert said.endswith("; --dates sold=%m/%d/%Y --time sold takes the last rows for the test")
    open_ = [f"{1 + number % 12:02}/{1 + number // 12:02}/2024" for number in range(120)]
    (said,) = make_choices(facts(**{"sold on": open_}), {}).proposals
    flags = [f"--dates 'sold on=%{first}/%{second}/%Y' --time 'sold on'" for first, second in ("dm", "md")]
    assert said.endswith(f"; {' or '.join(flags)} takes the last rows for the test")
    (said,) = make_choices(facts(sold=[*american[:60], *shuffled[60:]]), {}).proposals
    assert said.endswith("once all dates of the column are written in one way, which --dates COLUMN=FORMAT says")
    (said,) = make_choices(facts(sold=[None, *shuffled[1:]]), {}).proposals
    assert said.endswith("; --time takes the last rows for the test, once no date is missing")
    (said,) = make_choices(facts(**{"fiscal year": np.sort(np.resize(np.arange(1990, 2020), 120))}), {}).proposals
    assert said.endswith("--time 'fiscal year' takes the last rows for the test")
    (said,) = make_choices(facts(sold=DAYS, owner_id=np.arange(120) // 2), {}).proposals
    assert said.startswith("the split keeps rows of one 'owner_id' together, though 'sold' tells when")
    assert make_choices(facts(sold=shuffled), {"split.time": "sold"}).proposals == []


def test_a_text_by_request_that_is_dropped_is_said_to_be_one_by_request():
    american = [f"{day[5:7]}/{day[8:]}/{day[:4]}" for day in DAYS]
    names, given = [f"c{number}" for number in range(120)], {"load.target": "label"}
    assert make_choices(facts(sold=american, cell=names), given).warnings == []
    found = make_choices(facts(sold=american, cell=names, code=names), given | {STRING_TYPE: ["sold", "cell", "code"]})
    assert found.drop.value == ["row", "sold", "cell", "code"]
    assert found.warnings == [
        f"'{name}' is dropped: as texts, which --text keeps its cells, nearly all values differ. {other}, it could "
        "tell the model something; --drop, with what is to be left out instead, keeps it as it is"
        for name, other in (("sold", "As dates, by --dates sold=FORMAT in place of --text"), ("cell", "Without it"))
    ]
    (said,) = make_choices(facts(sold=american[::2] * 2), given | {STRING_TYPE: ["sold"]}).proposals
    assert said.endswith("; --dates sold=%m/%d/%Y --time sold, in place of --text, takes the last rows for the test")
    assert make_choices(facts(sold=american), given | {STRING_TYPE: ["sold"], "load.drop": ["sold"]}).warnings == []


def test_a_row_without_a_target_is_counted_as_one():
    (rows,) = make_choices(facts(label=[None, "u", "v", *["u"] * 60, *["v"] * 57]), {}).target_rows
    assert rows.reason == "1 of 120 rows has no value in 'label', and nothing to learn or test by"


def test_a_few_rows_without_a_target_are_left_out_and_it_is_said():
    gaps = make_choices(facts(label=["u", "v", None] * 40), {})
    (rows,) = gaps.target_rows
    assert (rows.setting, rows.value) == ("load.missing_target", "drop")
    assert rows.reason == "40 of 120 rows have no value in 'label', and nothing to learn or test by"
    assert problem_block(gaps, Path("f.csv"))["load"]["missing_target"] == "drop"
    assert make_choices(facts(label=["u", *["v", None, None, None] * 29, "v", "v", "v"]), {}).target_rows == ()
    (given,) = make_choices(facts(label=["u", "v", None] * 40), {"load.missing_target": "error"}).target_rows
    assert (given.value, given.is_given) == ("error", True)


def test_a_word_that_may_be_a_class_or_a_gap_is_not_left_out():
    assert make_choices(facts(label=["u", "v"] * 58 + ["NA", "NA", None, None]), {}).target_rows == ()


def test_a_table_of_a_header_only_is_one_message():
    table = facts()
    empty = table._replace(frame=table.frame.head(0))
    for given in {}, {"load.target": "label", "load.task": "classification"}:
        with pytest.raises(DataError, match=r"f\.csv has 0 rows; at least 100 are needed"):
            make_choices(empty, given)


def test_a_word_for_a_missing_value_that_is_a_class():
    table = facts(label=["None", "u", "v"] * 40)
    (missing,) = make_choices(table, {}).file_format
    assert missing.value == tuple(word for word in MISSING if word != "None")
    assert missing.reason == "'None' is a class of 'label', as frequent as one"
    assert make_choices(table, {"load.missing": ["NA"]}).file_format == ()
    assert make_choices(table._replace(missing_as={"size": {"None": 3}}), {}).file_format == ()


def test_the_block_has_what_was_decided_and_defaults():
    table = facts({"delimiter": ";", "missing": ("NA",)}, {"delimiter": "it fits best"})
    block = problem_block(make_choices(table, {}), Path("data/raw/f.csv"))
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
    assert (block["train"]["model"], block["train"]["kind"]) == ("voting", "classifier")
    assert [one["model"] for one in block["train"]["hyperparameters"]["members"]] == [
        "logistic_regression",
        "xgboost",
        "lightgbm",
        "extra_trees",
        "lightgbm",
    ]
    assert block["preprocess"] == {"numeric_impute": "native", "encode": "native"}
    boosted = problem_block(make_choices(table, {"train.model": "hist_gradient_boosting"}), Path("data/raw/f.csv"))
    assert boosted["train"]["hyperparameters"]["learning_rate"] == 0.05
    assert boosted["preprocess"] == {"numeric_impute": "native", "encode": "native"}


def test_flags_are_those_of_the_command_and_settings_those_of_the_stages():
    shown = _parser().format_help()
    for setting, flag in FLAGS.items():
        assert flag.split(" ")[0] in shown, setting
        if setting.startswith("load."):
            assert setting.removeprefix("load.") in LoadSettings.__struct_fields__
    assert {setting.removeprefix("load.") for setting in FLAGS} >= set(LoadSettings.__struct_fields__)
    assert (flag_of("load.skip_lines"), flag_of("load.path")) == ("--skip-lines", "FILE")
    assert flag_of("train.class_weight") == "train.class_weight"


@pytest.mark.parametrize(
    ("classes", "share", "positive", "reason"),
    [
        (["bad", "good"], 0.3, "bad", "it is the rarer class, with 30.0% of the rows"),
        (["bad", "good"], 0.7, None, ""),
        (["no", "yes"], 0.3, None, ""),
        (["y", "zero"], 0.8, "y", "it is named so"),
        ([1, 2], 0.8, None, ""),
        ([1, 2], 0.3, 1, "it is the rarer class, with 30.0% of the rows"),
        ([-1, 1], 0.2, None, ""),
        ([0, 1], 0.2, None, ""),
    ],
)
def test_the_positive_class_is_proposed_where_it_is_not_the_last(classes, share, positive, reason):
    label = np.array([classes[0]] * round(120 * share) + [classes[1]] * round(120 * (1 - share)))
    found = make_choices(facts(label=label), {"load.target": "label", "load.task": "classification"})
    assert found.positive == Choice(Setting("load.positive"), positive, reason)
    assert problem_block(found, Path("f.csv"))["load"].get("positive") == positive


def test_a_positive_class_that_is_none_of_two_is_refused():
    given = {"load.target": "label", "load.positive": "w"}
    with pytest.raises(DataError, match=r"load\.positive w: the target 'label' has no two classes .*'u', 'v'\."):
        make_choices(facts(), given)
    assert make_choices(facts(), given | {"load.positive": "u"}).positive.is_given


def test_weights_are_given_and_are_no_feature():
    given = {"load.weight": "row"}
    found = make_choices(facts(), given)
    assert (found.weight.value, found.drop.value, found.weight.is_given) == ("row", [], True)
    assert problem_block(found, Path("f.csv"))["load"]["weight"] == "row"
    assert "weight" not in problem_block(make_choices(facts(), {}), Path("f.csv"))["load"]
    with pytest.raises(DataError, match=r"load\.weight: 'wait' is no column beside the target\. It has: row, size\."):
        make_choices(facts(), {"load.weight": "wait"})
    with pytest.raises(SettingsError, match="KNeighborsClassifier knows no weights of rows"):
        make_choices(facts(), given | {"train.model": "k_neighbors"})


def test_free_text_is_set_where_there_is_some():
    titles = [f"{a}er {b}man" for a in "abcdefgh" for b in "stuvwxyz"]
    found = make_choices(facts(title=(titles * 2)[:120]), {})
    assert found.text_columns == Choice(Setting("preprocess.text_columns"), ["title"], "their words tell something")
    assert problem_block(found, Path("f.csv"))["preprocess"]["text_columns"] == ["title"]
    assert make_choices(facts(title=(titles * 2)[:120]), {"load.drop": ["title"]}).text_columns.value == []
    assert "text_columns" not in problem_block(make_choices(facts(), {}), Path("f.csv"))["preprocess"]
