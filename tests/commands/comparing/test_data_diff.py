"""The command in a repository: what changed in the data between two revisions."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys

from lockstep.commands.comparing.data_diff import main
from lockstep.kernel.errors import LockstepError

import pytest
from workspace import ROOT


@pytest.fixture(scope="module")
def repository(built_repository, tmp_path_factory):
    """A copy in which iris is loaded and committed, tagged v1."""
    copy = built_repository.copy_to(tmp_path_factory.mktemp("data_diff") / "repository")
    copy.dvc("remote", "add", "-d", "-q", "store", str(tmp_path_factory.mktemp("store")))
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
from lockstep.commands.comparing.data_diff import main
from lockstep.kernel.errors import LockstepError
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
    assert "Nothing changed in the data of iris, housing." in same.stdout

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
    (length,) = [column for column in iris["features"] if column["column"] == "sepal_length"]
    assert length["range"]["after"]["max"] == 9.9
    assert content["before"]["commit"] == clean.run("git", "rev-parse", "v1^{commit}").stdout.strip()
    assert content["problems"]["housing"] == {"same_file": True, "status": "unchanged"}
    assert content["outdated"] == {}

    lines = data_diff(clean, "--md", "--problem", "iris").stdout.splitlines()
    assert "#### `iris`: changed" in lines
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
    assert (added["status"], added["n_rows"]) == ("added", 150)
    params.write_text(text[:start] + text[start:end].replace("  iris:", "  flowers:") + text[start:])
    assert "load@flowers has not been run in the workspace" in data_diff(clean).stdout
    alone = data_diff(clean, "--problem", "flowers")
    assert (alone.returncode, "dvc repro load@flowers" in alone.stderr) == (2, True)


def test_a_key_that_load_drop_leaves_out(clean):
    """Rows are matched by a column of the raw files, each read as its revision's settings say; and what is said where
    such a file is not to be had."""
    raw, params = clean.folder / "data/raw/iris.csv", clean.folder / "params.yaml"
    lines = [line.replace(",", ";") for line in raw.read_text().splitlines()]
    header, rows = f"no;{lines[0]}", [f"f{i};{line}" for i, line in enumerate(lines[1:])]
    text = params.read_text().replace("      drop: []  ", "      drop: [no]", 1)
    text = text.replace("delimiter: ','", "delimiter: ';'", 1)
    params.write_text(text)
    raw.write_text("\n".join([header, *rows]) + "\n")
    clean.dvc("add", "-q", "data/raw/iris.csv")
    clean.repro("load@iris")
    clean.run("git", "commit", "-q", "-a", "-m", "with numbers")
    try:
        edited = [row.replace("5.1", "9.9", 1) for row in rows[3:]]
        changed = sum(a != b for a, b in zip(rows[3:], edited, strict=True))
        raw.write_text("\n".join([header, *edited, *(f"g{i};1.0;1.0;1.0;1.0;gigantea" for i in range(2))]) + "\n")
        clean.repro("load@iris")
        counts = f"150 before, 149 after: 2 added, 3 removed, {changed} changed, {147 - changed} the same"
        how = "(matched by the key no, which load.drop leaves out)"
        done = data_diff(clean, "--problem", "iris")
        assert f"Rows: {counts} {how}." in done.stdout, done.stderr
        key = json.loads(data_diff(clean, "--json").stdout)["problems"]["iris"]["rows"]["key"]
        assert key == {"before": "no", "after": "no", "dropped": [True, True]}

        md5 = re.search(r"md5: (\w+)", clean.run("git", "show", "HEAD:data/raw/iris.csv.dvc").stdout)[1]
        (clean.folder / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").unlink()
        text = data_diff(clean, "--problem", "iris").stdout
        assert "by content, there being no key" in text
        assert "could be matched by what load.drop leaves out (no): data/raw/iris.csv of HEAD" in text
        assert "is neither in the workspace nor in DVC's cache nor in git" in text
    finally:
        clean.run("git", "reset", "-q", "--hard", "v1")


@pytest.mark.exhaustive
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
        (["--problem", "irsi"], 2, "has a problem 'irsi'. They have: iris, housing. Did you mean 'iris'?"),
    ],
)
def test_mistakes_are_one_message(clean, arguments, code, message):
    done = data_diff(clean, *arguments)
    assert message in done.stderr
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr


@pytest.mark.exhaustive
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
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "dvc.lock of the workspace line 2 is not valid YAML" in done.stderr
    assert "'git checkout HEAD -- dvc.lock' brings the last commit's back." in done.stderr


@pytest.mark.exhaustive
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
