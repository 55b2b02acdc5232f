"""Rules that the code, the graph, DVC's settings and the documents must keep, by reading them."""

import ast
import re
import subprocess
from functools import cache
from itertools import pairwise
from pathlib import Path

from lockstep.kernel.lock_file import read_lock, read_pointers
from lockstep.repository.dvc_config import check_dvc_config
from lockstep.repository.secret_scan import check_tracked

from graph import STAGES, all_outputs
from workspace import DOCUMENTS, ROOT

CODE = sorted(
    path for folder in ("lockstep", "stages", "benchmarks", "publishing") for path in (ROOT / folder).rglob("*.py")
)
UNPICKLING = {
    "joblib.load", "joblib.numpy_pickle.load", "pickle.load", "pickle.loads", "pickle.Unpickler", "cPickle.load",
    "cloudpickle.load", "cloudpickle.loads", "dill.load", "dill.loads", "shelve.open", "marshal.loads",
    "pandas.read_pickle", "pd.read_pickle",
}  # fmt: skip
RUNNING_TEXT = {"eval", "exec", "compile", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load"}


@cache
def trees():
    """{file of CODE: what it says}, each parsed once."""
    return {path: ast.parse(path.read_text()) for path in CODE}


def calls(path):
    """(the dotted name, the keywords, the line) of every call in a file."""
    for node in ast.walk(trees()[path]):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}, node.lineno


@cache
def all_calls():
    return [(str(path.relative_to(ROOT)), *call) for path in CODE for call in calls(path)]


def test_one_function_unpickles():
    plain = "benchmarks/plain_serve.py"  # what serving costs without the checks: it opens the repository's own models
    unpickling = [file for file, name, *_ in all_calls() if name in UNPICKLING and file != plain]
    assert unpickling == ["lockstep/saving/joblib_file.py"]
    for path, tree in trees().items():
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not imported & {"pickle", "cloudpickle", "dill", "shelve", "marshal", "load", "read_pickle"}, path
    assert not [file for file, _, words, _ in all_calls() if words.get("allow_pickle", "False") != "False"]


def test_skops_is_loaded_by_the_fixed_list_alone():
    loading = [
        (file, words)
        for file, name, words, _ in all_calls()
        if re.fullmatch(r"(skops\.|skops_)?(io|sio)\.loads?", name)
    ]
    assert [(file, words["trusted"]) for file, words in loading] == [
        ("lockstep/deployment/exchange/skops_file.py", "_TRUSTED")
    ]
    for path in (*CODE, *DOCUMENTS):
        assert "get_untrusted_types" not in path.read_text(), path


def test_no_function_has_more_than_seven_parameters():
    """What belongs together is a struct that has a name; self counts, *args and **kwargs do not."""
    many = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, tree in trees().items()
        if path.relative_to(ROOT).parts[0] in ("lockstep", "stages")
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and len(node.args.posonlyargs + node.args.args + node.args.kwonlyargs) > 7
    ]
    assert many == []


def test_every_text_of_a_module_documents_what_stands_above_it():
    """As a constant goes, so does what is said of it."""
    alone = [
        f"{path.relative_to(ROOT)}:{second.lineno}"
        for path, tree in trees().items()
        for first, second in pairwise(tree.body)
        if isinstance(second, ast.Expr) and isinstance(second.value, ast.Constant)
        if not isinstance(first, ast.Assign | ast.AnnAssign | ast.AugAssign)
    ]
    assert alone == []


def test_nothing_runs_a_text():
    found = [
        (file, name, line)
        for file, name, words, line in all_calls()
        if name in RUNNING_TEXT
        or words.get("shell", "False") != "False"
        or (name == "yaml.load" and words.get("Loader") != "_Loader")
    ]
    assert found == []


def test_no_document_tells_to_unpickle():
    for path in DOCUMENTS:
        code = "\n".join(re.findall(r"```.*?```|`[^`]+`", path.read_text(), re.DOTALL))
        assert ("`" in path.read_text()) == bool(code), path
        assert not re.search(r"joblib\.load|pickle\.load|read_pickle|trusted=", code), path


def test_outputs_are_files_named_by_the_problem_and_the_model():
    """Only what `python -m lockstep check` has seen stands in them; a folder's listing could lead anywhere."""
    for stage in STAGES:
        for path in all_outputs(stage):
            assert re.search(r"\.[a-z]+$", path), path
            held = set(re.findall(r"\$\{(.*?)\}", path)) - {"key"}
            assert held <= {"item.train.model", "item.train.kind", "item.train.version"}, path
    read_lock(ROOT / "dvc.lock")  # raises for a folder's hash or a path upwards, and so does:
    read_pointers(ROOT)


def test_commands_hold_the_problems_name_in_quotes_and_nothing_else_of_the_settings():
    for stage in STAGES.values():
        command = stage["do"]["cmd"]
        assert set(re.findall(r"\$\{(.*?)\}", command)) == {"key"}
        assert all(word[0] == word[-1] == "'" for word in command.split() if "$" in word)
        assert not re.search(r"[;&|<>`\n]|\$\(", command)


def test_no_secret_is_tracked_and_dvc_verifies_copies_and_keeps_silent():
    check_tracked(ROOT)
    check_dvc_config(ROOT)
    config = (ROOT / ".dvc/config").read_text()
    assert "verify = true" in config
    assert 'type = "reflink,copy"' in config
    assert "analytics = false" in config


def test_a_clone_has_its_own_database_of_hashes():
    """DVC's default is a folder in /var/tmp that everybody may write to."""
    recipe = (ROOT / "Makefile").read_text()
    assert 'site="$$PWD/.dvc/tmp/site"' in recipe
    assert 'config --local core.site_cache_dir "$$site"' in recipe


def test_every_documented_remote_is_verified():
    texts = [path.read_text() for path in DOCUMENTS]
    added = [(text, name) for text in texts for name in re.findall(r"dvc remote add (?:-\w+ |--\w+ )*([\w-]+)", text)]
    assert len(added) >= 3
    for text, name in added:
        assert re.search(rf"dvc remote modify (?:--local )?{name} verify true", text), name


def test_ci_runs_every_test():
    """Also those that 'make test' leaves out; and whatever else 'make test' leaves out would be found here."""
    recipes = dict(re.findall(r"^([a-z-]+): .*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert recipes["test-all"] == "$(PYTEST) $(ARGS)"
    assert recipes["test"] == '$(PYTEST) -m "not exhaustive" $(ARGS)'
    assert (ROOT / ".ci/run").read_text().endswith("\nmake check\nmake test-all\nmake docs\n")
    assert "- run: .ci/run\n" in (ROOT / ".github/workflows/ci.yml").read_text()


def test_git_tracks_no_model_and_no_data():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in listed if Path(name).suffix in (".joblib", ".skops", ".pkl", ".pickle", ".parquet")]


def test_columns_are_no_keyword_arguments():
    """``DataFrame.assign(**columns)`` fails where a user's column is called ``self``: see with_columns."""
    calls = [(path.name, ast.unparse(node)) for path, tree in trees().items() for node in ast.walk(tree) if (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "assign"
        and any(word.arg is None for word in node.keywords)
    )]  # fmt: skip
    # The names of what ``predict`` writes are Lockstep's own.
    assert [call for file, call in calls if "interval_columns" not in call] == []
