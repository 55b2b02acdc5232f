"""Columns of any name go through every stage: what is reserved, quoted, executed, formatted or named so elsewhere."""

import csv
import json
import random

import pytest
from workspace import Repository

NAMES = [
    *("donne\u0301es", "donn\u00e9es", "\u00b5g", "\u03bcg", "\ufb01", "K", "\u212a"),  # equal once normalised
    *(
        "class",
        "row",
        "predicted",
        "probability_yes",
        "actual",
        "index",
        "__class__",
        "truth",
        "fold",
        "weight",
        "target",
    ),
    *("a'b", 'a"b', "{x}", "{{y}}", "<script>alert(1)</script>", "=1+1", "line\nbreak", "tab\tname", "n" * 10_000),
    *(
        " lead",
        "trail ",
        "%",
        "None",
        "nan",
        "0x10",
        "a.b",
        "a[b]",
        "a;b",
        "a,b",
        "$$",
        "\\",
        "`x`",
        "#h",
        "-",
        "*",
        "_",
    ),
]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_columns_of_any_name(tmp_path):
    repository, table, chance = Repository(tmp_path / "repository"), tmp_path / "names.csv", random.Random(1)
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*NAMES, "y"])
        for _ in range(120):
            numbers = [round(chance.gauss(0, 1), 2) for _ in NAMES]
            cells = [chance.choice(["<b>", "=cmd", "{}"]) if i % 3 == 0 else x for i, x in enumerate(numbers)]
            writer.writerow([*cells, "yes" if numbers[1] + numbers[4] > 0 else "no"])
    repository.lockstep("add", str(table), "--target", "y", "--drop")
    repository.set("names", "diagnose", top_features=3, learning_curve_rows=0)
    repository.dvc("repro", "report@names")
    profile = json.loads((repository.folder / "metrics/names_profile.json").read_text())
    assert {column["column"] for column in profile["columns"]} == {*NAMES, "y"}
    page = (repository.folder / "reports/names.html").read_text()
    assert "<script>alert(1)" not in page
    model = "models/names/voting_classifier_v1.joblib"
    scored = repository.lockstep("predict", model, str(table)).stdout
    assert scored.startswith("row,predicted,probability_no,probability_yes,set\n1,")
