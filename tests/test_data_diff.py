"""What changed between two versions of the data: the comparison of two tables, and the command in a repository."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from repository import ROOT, Repository
from scipy import stats

from lockstep.data_diff import NO_SHIFT, NOT_TESTED, SHIFTED, compare, holm, homogeneity, main, markdown
from lockstep.errors import LockstepError

N = 300


@pytest.fixture
def table(make_table):
    """A function: the table of N rows with every type of column, some of them replaced; None leaves one out."""
    random = np.random.default_rng(0)
    columns = {
        "size": random.normal(size=N),
        "gaps": np.where(random.random(N) < 0.1, np.nan, random.normal(size=N)),
        "count": random.integers(0, 9, N),
        "flag": random.random(N) < 0.5,
        "flaw": pd.Series(np.where(random.random(N) < 0.1, None, random.random(N) < 0.5), dtype="object"),
        "colour": random.choice(["red", "green", "blue"], N).astype(object),
        "y": random.choice(["no", "yes"], N).astype(object),
    }

    def make(task="classification", **changes):
        return make_table({k: v for k, v in (columns | changes).items() if v is not None}, task)

    make.columns = columns
    return make


def feature(found, name):
    return next(column for column in found["features"] if column["column"] == name)


def rows(found):
    return {key: found["rows"][key] for key in ("added", "removed", "changed", "same", "reordered")}


def test_nothing_changed(table):
    found = compare(table(), table())
    assert found["status"] == "unchanged"
    assert rows(found) == {"added": 0, "removed": 0, "changed": None, "same": N, "reordered": False}
    assert all(column["same_values"] and column["verdict"] == NO_SHIFT for column in found["features"])
    assert found["target"]["shift"]["verdict"] == NO_SHIFT
    json.dumps(found, allow_nan=False)


def test_permuted_rows_are_the_same_rows_in_another_order(table):
    found = compare(table(), table().rows(np.random.default_rng(1).permutation(N)))
    assert found["status"] == "reordered"
    assert rows(found) == {"added": 0, "removed": 0, "changed": None, "same": N, "reordered": True}
    assert all(column["same_values"] for column in found["features"])


def test_columns_in_another_order(table):
    before, after = table(), table()
    after = type(after)(after.frame[list(after.frame)[::-1]], "y", "classification")
    found = compare(before, after)
    assert (found["status"], found["columns"]["reordered"], found["rows"]["same"]) == ("reordered", True, N)


def test_rows_added_and_removed(table):
    before, after = table().rows(np.arange(280)), table().rows(np.arange(5, N))
    found = compare(before, after)
    assert found["status"] == "changed"
    assert rows(found) == {"added": 20, "removed": 5, "changed": None, "same": 275, "reordered": False}
    assert found["rows"]["added_row_numbers"] == [281, 282, 283, 284, 285]
    assert found["rows"]["removed_row_numbers"] == [1, 2, 3, 4, 5]


def test_rows_count_as_often_as_they_stand(make_table):
    before = make_table({"a": [1, 1, 1, 2, 2, 3], "b": [np.nan, np.nan, np.nan, 0, 0, 0], "y": ["u"] * 6})
    after = make_table({"a": [1, 3, 2, 2, 2, 4], "b": [np.nan, 0, 0, 0, 0, 0], "y": ["u"] * 6})
    found = compare(before, after)
    assert rows(found) == {"added": 2, "removed": 2, "changed": None, "same": 4, "reordered": None}
    assert found["rows"]["added_row_numbers"] == [5, 6]
    assert found["rows"]["removed_row_numbers"] == [2, 3]


def test_rows_are_matched_as_pandas_would_match_them(make_table):
    """Against a plain multiset of tuples, on small tables of many equal rows and many columns."""
    from collections import Counter

    for seed in range(30):
        random = np.random.default_rng(seed)

        def draw(random=random):
            n = random.integers(1, 40)
            columns = {f"c{i}": random.choice([0.0, 1.5, np.nan], n, p=[0.8, 0.1, 0.1]) for i in range(6)}
            return make_table(columns | {"t": random.choice(["a", None], n), "y": random.choice(["u", "v"], n)})

        before, after = draw(), draw()
        bags = [
            Counter(t.frame.fillna({"t": ""}).fillna(-1).itertuples(index=False, name=None)) for t in (before, after)
        ]
        found = compare(before, after)["rows"]
        assert found["added"] == (bags[1] - bags[0]).total()
        assert found["removed"] == (bags[0] - bags[1]).total()
        assert found["same"] == (bags[0] & bags[1]).total()


def test_many_columns_do_not_overflow(make_table):
    random = np.random.default_rng(0)
    columns = {f"c{i}": random.normal(size=1000) for i in range(40)} | {"y": ["u"] * 1000}
    edited = columns | {"c39": columns["c39"].copy()}
    edited["c39"][7] = 0.0
    found = compare(make_table(columns), make_table(edited))
    assert rows(found) == {"added": 1, "removed": 1, "changed": None, "same": 999, "reordered": False}
    assert found["rows"]["added_row_numbers"] == [8]


def test_a_key_tells_which_rows_changed(table):
    ids = [f"id{i}" for i in range(N)]
    before = table(id=ids)
    sizes, colours = table.columns["size"].copy(), table.columns["colour"].copy()
    sizes[[3, 4]], colours[4] = [9.5, 8.5], "pink"
    after = table(id=[*ids[:-1], "new"], size=sizes, colour=colours).rows(np.arange(N)[::-1])
    found = compare(before, after)
    assert found["rows"]["key"] == "id"
    assert rows(found) == {"added": 1, "removed": 1, "changed": 2, "same": N - 3, "reordered": True}
    assert found["rows"]["changed_by_column"] == {"size": 2, "colour": 1}
    assert [example["key"] for example in found["rows"]["examples"]] == ["id4", "id3"]
    assert found["rows"]["examples"][0]["cells"][1]["after"] == "pink"
    assert feature(found, "id")["why_not_tested"] == "the key"


@pytest.mark.parametrize(
    "columns",
    [
        {"size": np.arange(N) / 7},  # a decimal number is no key, however unique
        {"id": [*range(N - 1), 0]},
        {"id": [*[str(i) for i in range(N - 1)], None]},
        {"y": np.arange(N), "task": "regression"},  # nor is the target
    ],
)
def test_what_is_no_key(table, columns):
    assert compare(table(**columns), table(**columns))["rows"]["key"] is None


def test_columns_added_removed_and_of_another_type(table):
    before = table(count=[str(i) + "x" for i in table.columns["count"]], flag=np.arange(N) % 2)
    after = table(gaps=None, extra=np.arange(N) % 3, flag=np.arange(N) % 2 * 1.0)
    found = compare(before, after)
    assert found["status"] == "changed"
    assert found["columns"]["added"] == [{"column": "extra", "type": "whole number"}]
    assert found["columns"]["removed"] == [{"column": "gaps", "type": "number"}]
    assert found["columns"]["retyped"] == [
        {"column": "count", "before": "text", "after": "whole number"},
        {"column": "flag", "before": "whole number", "after": "number"},
    ]
    assert "count" not in found["rows"]["compared_columns"]
    assert found["rows"]["same"] == N  # on the columns that can be compared
    assert (feature(found, "count")["verdict"], feature(found, "count")["why_not_tested"]) == (
        NOT_TESTED,
        "text before, whole number now",
    )


def test_no_column_in_common(make_table):
    found = compare(make_table({"a": [1, 2], "y": ["u", "v"]}), make_table({"b": [1, 2, 3], "y": [1, 2, 3]}))
    assert rows(found) == {"added": 3, "removed": 2, "changed": None, "same": 0, "reordered": None}


def test_new_and_vanished_categories(table):
    colours = table.columns["colour"].copy()
    colours[colours == "red"] = "pink"
    colours[:2] = ["a|b", "a|b"]
    levels = feature(compare(table(), table(colour=colours)), "colour")["categories"]
    assert levels["new"]["count"] == 2
    assert levels["new"]["first"][1] == {"value": "a|b", "rows": 2}
    assert [level["value"] for level in levels["vanished"]["first"]] == ["red"]


def test_missing_cells_shift(table):
    gaps = table.columns["gaps"].copy()
    gaps[:100] = np.nan
    column = feature(compare(table(), table(gaps=gaps)), "gaps")
    assert column["missing"]["before"] < 0.15 < 0.35 < column["missing"]["after"]
    assert column["missing"]["p_adjusted"] < 1e-6
    assert column["values"]["p_adjusted"] > 0.05
    assert column["verdict"] == SHIFTED


def test_a_column_without_a_value(table):
    column = feature(compare(table(), table(gaps=np.full(N, np.nan))), "gaps")
    assert (column["values"], column["why_not_tested"], column["range"]["after"]) == (None, "no value now", None)


@pytest.mark.parametrize(
    ("name", "values", "test"),
    [
        ("size", lambda old, random: old + 0.6, "Kolmogorov-Smirnov"),
        ("count", lambda old, random: old + 2, "Kolmogorov-Smirnov"),
        ("flag", lambda old, random: random.random(N) < 0.8, "chi-squared"),
        ("flaw", lambda old, random: pd.Series(random.random(N) < 0.8, dtype=object), "chi-squared"),
        ("colour", lambda old, random: random.choice(["red", "green", "blue"], N, p=[0.7, 0.2, 0.1]), "chi-squared"),
    ],
)
def test_a_real_shift_is_found_in_its_column_alone(table, name, values, test):
    found = compare(table(), table(**{name: values(table.columns[name], np.random.default_rng(5))}))
    assert {c["column"] for c in found["features"] if c["verdict"] == SHIFTED} == {name}
    assert feature(found, name)["values"]["test"] == test
    assert feature(found, name)["values"]["size"] > 0.15


def test_the_target_shifts(table):
    found = compare(table(), table(y=["no"] * 250 + ["yes"] * 50))
    assert found["target"]["shift"]["verdict"] == SHIFTED
    assert found["target"]["shift"]["values"]["test"] == "chi-squared"
    assert all(column["verdict"] != SHIFTED for column in found["features"])


def test_classes_that_are_numbers_are_categories(table):
    shift = compare(table(y=np.arange(N) % 3), table(y=np.arange(N) % 4))["target"]["shift"]
    assert shift["values"]["test"] == "chi-squared"
    assert shift["categories"]["new"]["first"] == [{"value": 3, "rows": 75}]
    shift = compare(table("regression", y=np.arange(N) % 3), table("regression", y=np.arange(N) % 4))["target"]["shift"]
    assert shift["values"]["test"] == "Kolmogorov-Smirnov"


def test_another_target(table):
    found = compare(table(), type(table())(table().frame, "colour", "classification"))
    assert found["status"] == "changed"
    assert (found["target"]["before"]["column"], found["target"]["after"]["column"]) == ("y", "colour")
    assert found["target"]["shift"] is None


def test_families_without_a_shift_are_rarely_called_shifted(make_table):
    """Family-wise: in at most 5 % of problems may any column be called shifted, by chance (binomial bound, 99.9 %)."""
    random, trials, false = np.random.default_rng(3), 100, 0

    def draw():
        n = 120
        columns = {f"n{i}": random.normal(size=n) for i in range(4)}
        columns |= {f"t{i}": random.choice(["a", "b", "c", "d"], n, p=[0.6, 0.3, 0.07, 0.03]) for i in range(4)}
        columns |= {f"b{i}": random.random(n) < 0.5 for i in range(2)}
        columns |= {f"g{i}": np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)) for i in range(2)}
        return make_table(columns | {"y": random.choice(["u", "v"], n)})

    for _ in range(trials):
        found = compare(draw(), draw())
        false += any(c["verdict"] == SHIFTED for c in [*found["features"], found["target"]["shift"]])
    assert false <= stats.binom.ppf(0.999, trials, 0.05)


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_homogeneity_pools_rare_categories():
    before, after = np.array([50, 50, 1, 0, 2, 3]), np.array([40, 60, 0, 2, 3, 2])
    pooled = np.array([[50, 50, 6], [40, 60, 7]])
    chi2, p, *_ = stats.chi2_contingency(pooled, correction=False)
    found = homogeneity(before, after)
    assert found == pytest.approx((np.sqrt(chi2 / pooled.sum()), p))
    # A pool that is too rare itself takes in the rarest of the others.
    found = homogeneity(np.array([50, 40, 10, 1]), np.array([50, 30, 20, 0]))
    expected = stats.chi2_contingency([[50, 40, 11], [50, 30, 20]], correction=False)
    assert found[1] == pytest.approx(expected.pvalue)


def test_homogeneity_of_two_rare_categories_is_fishers_test():
    found = homogeneity(np.array([0, 150]), np.array([8, 142]))
    assert found[1] == pytest.approx(stats.fisher_exact([[0, 150], [8, 142]]).pvalue)


@pytest.mark.parametrize(
    "counts",
    [([5], [7]), ([0, 0], [3, 4]), ([1] * 50, [1] * 50), ([0, 5, 0], [0, 7, 0])],
)
def test_what_cannot_be_tested(counts):
    assert homogeneity(*map(np.array, counts)) is None


def test_any_character_stays_in_its_cell_of_the_markdown_table(table):
    odd = "a|b `c`\n<b> \x1b[31m"
    colours = table.columns["colour"].copy()
    colours[:9] = odd
    problem = compare(table(), table(colour=colours)) | {"outdated": [], "not_run": [], "same_file": False}
    found = {"before": {"shown": "A"}, "after": {"shown": "B"}, "changed": True, "problems": {"p": problem}}
    lines = [line for line in markdown(found).splitlines() if line.startswith("|")]
    assert len(lines) == 3
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {8}
    assert r"a\|b `c`\n<b> \x1b[31m" in lines[-1]


def test_many_rows(make_table):
    random, n = np.random.default_rng(0), 200_000
    columns = {f"n{i}": random.normal(size=n) for i in range(10)}
    columns |= {f"i{i}": random.integers(0, 1000, n) for i in range(5)}
    columns |= {f"t{i}": random.choice(["a", "bb", "ccc"], n) for i in range(4)} | {"y": random.random(n) < 0.5}
    before = make_table(columns)
    after = before.rows(np.concatenate([np.arange(10, n), np.arange(5)]))
    assert rows(compare(before, after)) == {
        "added": 0, "removed": 5, "changed": None, "same": n - 5, "reordered": True,
    }  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy in which iris is loaded and committed, tagged v1."""
    copy = Repository(tmp_path_factory.mktemp("data_diff") / "repository")
    copy.dvc("remote", "add", "-d", "-q", "store", str(tmp_path_factory.mktemp("store")))
    copy.repro("load@iris", "load@housing")
    copy.dvc("push", "-q", "data/loaded/iris.parquet")
    copy.commit("loaded")
    copy.run("git", "tag", "-a", "v1", "-m", "one")
    return copy


@pytest.fixture
def clean(repository):
    """The same; whatever a test changes is undone after it."""
    yield repository
    repository.run("git", "checkout", "-q", "--", ".")
    repository.dvc("checkout", "-q", "-f", "data/raw/iris.csv", "data/loaded/iris.parquet")


CODE = """
import sys
from lockstep.data_diff import main
from lockstep.errors import LockstepError
try:
    sys.exit(main(sys.argv[1:]))
except LockstepError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def data_diff(copy, *arguments):
    """Run the command in this process, which is quicker."""
    out, err, code = io.StringIO(), "", 0
    with contextlib.chdir(copy.folder), contextlib.redirect_stdout(out):
        try:
            code = main(arguments)
        except LockstepError as error:
            code, err = error.exit_code, f"{error}\n"
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err)


def edit(copy):
    """Change row 1, remove row 2, add one row of a new species."""
    path = copy.folder / "data/raw/iris.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace("5.1", "9.9")
    path.write_text("\n".join([*lines[:2], *lines[3:], "1.0,1.0,1.0,1.0,gigantea"]) + "\n")


def test_the_command(clean):
    same = clean.run("python", "-c", CODE)
    assert (same.returncode, same.stderr) == (0, "")
    assert "Nothing changed in the data of housing, iris." in same.stdout

    edit(clean)
    stale = data_diff(clean, "--problem", "iris").stdout
    assert "data/raw/iris.csv changed since load@iris was run in the workspace" in stale

    clean.repro("load@iris")
    found = data_diff(clean)
    assert (found.returncode, found.stderr) == (0, "")
    assert "iris: changed" in found.stdout
    assert "housing: unchanged" in found.stdout
    assert "Rows: 150 before, 150 after: 2 added, 2 removed, 148 the same" in found.stdout
    assert "1 new: gigantea (1)" in found.stdout
    assert "changed since" not in found.stdout
    assert found.stdout == data_diff(clean).stdout

    text = data_diff(clean, "v1", "--json").stdout
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    iris = content["problems"]["iris"]
    assert iris["rows"]["removed_row_numbers"] == [1, 2]
    assert iris["rows"]["added_row_numbers"] == [1, 150]
    assert feature(iris, "sepal_length")["range"]["after"]["max"] == 9.9
    assert content["before"]["commit"] == clean.run("git", "rev-parse", "v1^{commit}").stdout.strip()
    assert content["problems"]["housing"].keys() == iris.keys()

    lines = data_diff(clean, "--md", "--problem", "iris").stdout.splitlines()
    assert "#### iris: changed" in lines
    assert sum(line.startswith("|") for line in lines) == 7

    # Backwards: from the workspace to a revision.
    back = json.loads(data_diff(clean, "workspace", "main", "--json").stdout)["problems"]["iris"]
    assert back["rows"]["removed_row_numbers"] == [1, 150]


def test_a_problem_in_one_revision_only_and_one_that_has_not_been_run(clean):
    params = clean.folder / "params.yaml"
    text = params.read_text()
    start, end = text.index("  iris:"), text.index("  housing:")
    params.write_text(text[:start] + text[end:])
    found = data_diff(clean)
    assert found.returncode == 0
    assert "iris: removed" in found.stdout
    assert "The problem is in HEAD" in found.stdout
    assert "all its 150 rows and 5 columns count as removed" in found.stdout
    added = json.loads(data_diff(clean, "workspace", "HEAD", "--json").stdout)["problems"]["iris"]
    assert (added["status"], added["rows"]["added"]) == ("added", 150)
    params.write_text(text[:start] + text[start:end].replace("  iris:", "  flowers:") + text[start:])
    assert "load@flowers has not been run in the workspace" in data_diff(clean).stdout
    alone = data_diff(clean, "--problem", "flowers")
    assert (alone.returncode, "dvc repro load@flowers" in alone.stderr) == (2, True)


def test_an_experiment_is_a_revision(clean):
    edit(clean)
    clean.dvc("add", "-q", "data/raw/iris.csv")
    clean.dvc("exp", "run", "-q", "-n", "gigantic", "load@iris")
    clean.run("git", "checkout", "-q", "--", ".")
    clean.dvc("checkout", "-q", "-f", "data/raw/iris.csv", "data/loaded/iris.parquet")
    found = data_diff(clean, "HEAD", "gigantic", "--problem", "iris")
    assert "2 added, 2 removed, 148 the same" in found.stdout, found.stderr
    assert "and of gigantic (" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nonsense"], 2, "There is no revision 'nonsense' (unknown Git revision 'nonsense'). Allowed: a commit"),
        (["HEAD", "HEAD:dvc.lock"], 2, "There is no revision 'HEAD:dvc.lock'"),
        (["HEAD^{tree}"], 2, "There is no revision 'HEAD^{tree}'"),
        ([""], 2, "There is no revision ''"),
        (["--problem", "irsi"], 2, "has a problem 'irsi'. They have: housing, iris. Did you mean 'iris'?"),
    ],
)
def test_mistakes_are_one_message(clean, arguments, code, message):
    done = data_diff(clean, *arguments)
    assert message in done.stderr
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


def test_a_table_that_is_not_in_the_cache(clean):
    """And that both ways of bringing it back, which the message names, do."""
    md5 = re.search(r"loaded/iris.parquet\n +hash: md5\n +md5: (\w+)", clean.lock())[1]
    path = clean.folder / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"
    edit(clean)
    clean.repro("load@iris")
    clean.run("git", "commit", "-q", "-a", "-m", "edited")

    content = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(content[:-1] + b"?")
    done = data_diff(clean, "v1")
    assert done.returncode == 3
    assert "in DVC's cache is damaged" in done.stderr

    path.unlink()
    done = data_diff(clean, "v1")
    assert (done.returncode, done.stdout) == (3, "")
    fetch, remake, back = re.findall(r"'((?:dvc|git) [^']+)'", done.stderr)
    clean.run("bash", "-c", fetch)
    assert data_diff(clean, "v1").returncode == 0

    path.unlink()
    clean.run("bash", "-c", remake)
    clean.run("bash", "-c", back)
    assert clean.run("git", "status", "--porcelain").stdout == ""
    assert "148 the same" in data_diff(clean, "v1", "--problem", "iris").stdout
    clean.run("git", "reset", "-q", "--hard", "v1")


def test_a_table_that_is_not_in_the_workspace(clean):
    (clean.folder / "data/loaded/iris.parquet").unlink()
    done = data_diff(clean)
    assert done.returncode == 2
    assert (
        "data/loaded/iris.parquet is not in the workspace. Run 'dvc checkout data/loaded/iris.parquet'" in done.stderr
    )


def test_a_damaged_lock(clean):
    (clean.folder / "dvc.lock").write_text("stages: {load@iris: [")
    done = data_diff(clean)
    assert (done.returncode, done.stderr) == (
        3,
        "dvc.lock is not valid YAML. 'git checkout dvc.lock' brings the last commit's back.\n",
    )


def test_neither_dvc_nor_git(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "1", "GIT_CEILING_DIRECTORIES": "/tmp"}

    def run():
        return subprocess.run(
            [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run()
    assert (done.returncode, "in no DVC repository" in done.stderr) == (4, True), done.stderr
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("")
    done = run()
    assert (done.returncode, "in no git repository" in done.stderr) == (4, True), done.stderr
