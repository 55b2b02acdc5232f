"""The subgroups in which a model errs most."""

from lockstep.kernel.log import heartbeat
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.diagnosing.subgroups import slices_of
from lockstep.steps.evaluating.design import Design

import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)
TEN = DiagnoseSettings(slices=10, slice_rows=20)


def test_the_bad_subgroup_comes_first_and_stands_out():
    rows = 1000
    group = RNG.choice(["north", "south", "east"], rows)
    features = pd.DataFrame({"region": group, "x": RNG.normal(size=rows), "tiny": ["t"] * 5 + ["u"] * (rows - 5)})
    errors = (RNG.random(rows) < np.where(group == "south", 0.6, 0.1)).astype(float)
    found = slices_of(features.astype({"region": "str", "tiny": "str"}), errors, errors, "classification", TEN)
    first = found.worst[0]
    assert (first.column, first.level, first.rows) == ("region", "south", int(np.sum(group == "south")))
    assert first.stands_out
    assert first.low > found.overall
    assert not any(entry.stands_out for entry in found.worst[1:])
    assert not any(entry.level == "t" for entry in found.worst)  # 5 rows say nothing
    assert found.looked_at == 3 + 4 + 1  # the regions, the quarters of x, the many of tiny


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_worst_of_many_subgroups_of_noise_does_not_stand_out(task):
    """What the widened intervals are for: of 20 tables of pure noise, about one may have a subgroup that does."""
    outstanding = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        features = pd.DataFrame({f"c{i}": rng.choice(list("abcdefgh"), 800) for i in range(10)}).astype("str")
        errors = rng.random(800) if task == "regression" else (rng.random(800) < 0.3).astype(float)
        found = slices_of(features, errors, np.zeros(800), task, TEN)
        assert found.looked_at == 80
        outstanding += any(entry.stands_out for entry in found.worst)
    assert outstanding <= 3


def test_rows_without_a_value_are_a_subgroup():
    features = pd.DataFrame({"x": [np.nan] * 50 + list(range(150)), "b": pd.Series([None, True, False, True] * 50)})
    errors = np.array([1.0] * 50 + [0.0] * 150)
    worst = slices_of(features, errors, np.zeros(200), "regression", TEN).worst
    assert (worst[0].column, worst[0].level, worst[0].error) == ("x", "(missing)", 1.0)
    assert ("b", "(missing)") in {(entry.column, entry.level) for entry in slices_of(
        features, np.array([1.0, 0, 0, 0] * 50), np.zeros(200), "regression", TEN).worst}  # fmt: skip


def test_the_same_rows_under_another_name_are_one_subgroup_and_nearly_average_ones_are_no_weak_spot():
    level = np.array(["a", "b"] * 100)
    features = pd.DataFrame({"short": level, "long": np.char.add("name ", level)}).astype("str")
    found = slices_of(features, (level == "a").astype(float), np.zeros(200), "regression", TEN)
    assert [(entry.column, entry.level) for entry in found.worst] == [("short", "a")]
    assert found.looked_at == 2
    assert slices_of(features, 1 + 0.02 * (level == "a"), np.zeros(200), "regression", TEN).worst == []


def test_large_targets_alone_are_no_weak_spot_of_a_regression():
    """The error grows with the prediction; only the rows of "odd" are off by more than others of their size."""
    rng = np.random.default_rng(3)
    size, odd = rng.lognormal(4, 1, 4000), rng.random(4000) < 0.1
    errors = np.abs(rng.normal(size=4000)) * 0.1 * size * np.where(odd, 2, 1)
    features = pd.DataFrame({"size": size, "odd": np.where(odd, "yes", "no")}).astype({"odd": "str"})
    found = slices_of(features, errors, size, "regression", TEN)
    (worst,) = found.worst
    assert (worst.column, worst.level, worst.stands_out) == ("odd", "yes", True)
    assert 1.6 < worst.ratio < 2.1
    assert worst.low < worst.ratio < worst.high
    assert worst.error > 1.5 * found.overall  # in the unit of the target


def test_predictions_without_an_error_are_as_usual():
    level = np.array(["a", "b"] * 100)
    found = slices_of(pd.DataFrame({"x": level}).astype("str"), np.zeros(200), np.arange(200.0), "regression", TEN)
    assert (found.worst, found.overall) == ([], 0)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_rows_of_one_group_are_one_observation(task):
    """Customers of 20 rows each err alike: by rows, whichever level has the worse of them would stand out."""
    outstanding = {"rows": 0, "groups": 0}
    for seed in range(20):
        rng = np.random.default_rng(seed)
        customers = np.repeat(np.arange(40), 20)
        wrong = rng.random(40)[customers]
        errors = wrong if task == "regression" else (rng.random(800) < wrong).astype(float)
        features = pd.DataFrame({f"c{i}": rng.choice(list("abcd"), 40)[customers] for i in range(5)}).astype("str")
        designs = {name: Design.of(errors, stratified=False, groups=groups, in_time=False)
                   for name, groups in (("rows", None), ("groups", customers))}  # fmt: skip
        for name, design in designs.items():
            found = slices_of(features, errors, np.zeros(800), task, TEN, design)
            outstanding[name] += any(entry.stands_out for entry in found.worst)
    assert outstanding["rows"] >= 10
    assert outstanding["groups"] <= 3


def test_a_subgroup_of_one_group_is_not_looked_at():
    level, groups = np.repeat(["a", "b", "c"], 50), np.repeat([0, 1, 2, 3, 4], 30)
    features, errors = pd.DataFrame({"x": level}).astype("str"), (level == "a").astype(float)
    design = Design.of(errors, stratified=False, groups=np.where(level == "a", 9, groups), in_time=False)
    found = slices_of(features, errors, np.zeros(150), "classification", TEN, design)
    assert (found.looked_at, found.worst) == (2, [])


@pytest.mark.parametrize(
    ("unit", "levels"),
    [
        ("D", ["2021-01-01 to below 2021-01-03", "2021-01-03 to below 2021-01-05", "2021-01-05 to below 2021-01-06",
               "2021-01-06"]),
        ("h", ["2021-01-01 to below 2021-01-01 02:00:00", "2021-01-01 02:00:00 to below 2021-01-01 04:00:00",
               "2021-01-01 04:00:00 to below 2021-01-01 05:00:00", "2021-01-01 05:00:00"]),
    ],
)  # fmt: skip
def test_edges_among_whole_days_are_days_and_part_the_same_rows(unit, levels):
    """The quartiles lie between 1 and 2, 3 and 4, 4 and 5 units after the first date; none of the dates does."""
    steps = np.repeat([0, 1, 2, 3, 4, 5], [50, 50, 50, 50, 100, 100])
    dates = pd.Series(np.datetime64("2021-01-01") + steps * np.timedelta64(1, unit)).astype("datetime64[us]")
    edges = [1.5, 3.5, 4.5]
    features = pd.DataFrame({"date": dates})
    found = {}
    for place in range(4):
        errors = (np.searchsorted(edges, steps) == place).astype(float)
        first = slices_of(features, errors, np.zeros(400), "regression", TEN).worst[0]
        found[first.level] = (first.rows, first.error)
    assert found == dict.fromkeys(levels, (100, 1.0))


def test_features_are_counted():
    features = pd.DataFrame(RNG.normal(size=(200, 3)), columns=list("abc"))
    with heartbeat("subgroups") as progress:
        slices_of(features, np.zeros(200), np.zeros(200), "regression", TEN)
    assert str(progress).startswith("3 of 3 features, ")
