"""The import law that lockstep/__init__.py states: a folder imports only folders above it in that list."""

import ast
import re
import subprocess
import sys

import lockstep

import pytest
from graph import import_closure, imported_modules
from workspace import ROOT

LAW = re.findall(r"^- ``([\w.]+)``:", lockstep.__doc__, re.MULTILINE)
PACKAGE = ROOT / "lockstep"
IMPORTING_BY_NAME = (
    "lockstep/__main__.py", "lockstep/learning/own_estimators.py", "lockstep/repository/stage_forks.py",
)  # fmt: skip
"""The commands, of a fixed list; the class that train.estimator names, of a library that is installed; the stages."""


def place_of(module):
    """The folder (or top module) of the list that ``module`` is in; empty: of none."""
    name = module.removeprefix("lockstep.")
    return next((place for place in LAW if name == place or name.startswith(f"{place}.")), "")


def test_the_list_names_every_folder():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    for parent in {place.split(".")[0] for place in LAW if "." in place}:
        assert {path.name for path in (PACKAGE / parent).glob("*.py")} <= {"__init__.py"}, parent
        rooms = {f"{parent}.{path.parent.name}" for path in (PACKAGE / parent).glob("*/__init__.py")}
        folders = folders - {parent} | rooms
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(LAW) == folders | modules
    assert len(LAW) == len(set(LAW))


@pytest.mark.parametrize("place", LAW)
def test_a_folder_imports_only_folders_above_it(place):
    path = PACKAGE / place.replace(".", "/")
    files = path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]
    for file in files:
        for module in imported_modules(file):
            root, other = module.split(".")[0], place_of(module)
            if root == "lockstep" and other in LAW:
                assert LAW.index(other) <= LAW.index(place), f"{file} imports {module}"
            assert root != "stages" or place == "api", f"{file} imports {module}: only the API imports stages"


@pytest.mark.parametrize("place", [place for place in LAW if (PACKAGE / place.replace(".", "/")).is_dir()])
def test_the_docstring_of_a_folder_says_what_it_imports(place):
    folder = PACKAGE / place.replace(".", "/")
    (said,) = re.findall(
        r"Imports (.*?)\.$", ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), re.DOTALL
    )
    imported = {place_of(name) for file in folder.rglob("*.py") for name in imported_modules(file)} - {"", place}
    if said not in ("any other folder", "nothing of Lockstep's other folders"):
        assert re.findall(r"``([\w.]+)``", said) == [other for other in LAW if other in imported]
    else:
        assert bool(imported) == (said == "any other folder")


def test_no_module_imports_itself_through_others():
    """Within a folder the law says nothing: there must be no circle either."""
    arrows = {}
    for file in PACKAGE.rglob("*.py"):
        name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        arrows[name] = set(imported_modules(file))
    done = set()

    def visit(name, above):
        assert name not in above, " → ".join([*above, name])
        for other in sorted(arrows[name] & arrows.keys()) if name not in done else ():
            visit(other, [*above, name])
        done.add(name)

    for name in arrows:
        visit(name, [])
    assert len(done) > 90


def test_a_folder_has_a_docstring_and_few_entries():
    for folder in (path.parent for path in PACKAGE.rglob("__init__.py")):
        assert (folder / "__init__.py").read_text().startswith('"""'), folder
        entries = {
            path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.suffix != ".pyc" and path.is_file()
        }
        assert len(entries) <= 20, (folder, len(entries))  # __init__.py is one of them


def test_the_lazy_export_costs_a_stage_nothing():
    kernel = ["lockstep/kernel/__init__.py", "lockstep/kernel/portable.py"]
    assert import_closure("lockstep") == ["lockstep/__init__.py", *kernel]
    code = (
        "import sys, lockstep; assert 'numpy' not in sys.modules; lockstep.run_pipeline; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_unknown_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lockstep' has no attribute 'nonsense'"):
        lockstep.nonsense  # noqa: B018


def test_load_needs_no_scikit_learn():
    code = "import sys, stages.load; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_one_module_runs_git_one_dvc_one_stages_and_three_import_dvc():
    running, importing = set(), set()
    for file in [*PACKAGE.rglob("*.py"), *(ROOT / "stages").rglob("*.py")]:
        roots = {module.split(".")[0] for module in imported_modules(file)}
        name = file.relative_to(ROOT).as_posix()
        running |= {name} if roots & {"subprocess", "multiprocessing", "pty"} else set()
        importing |= {name} if roots & {"dvc", "scmrepo", "dvc_data", "dvc_objects", "pygit2", "dulwich"} else set()
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
        assert not [call for call in calls if re.match(r"os\.(system|popen|exec|spawn|posix_spawn)", call)], name
        assert not {"importlib.import_module", "__import__"} & calls or name in IMPORTING_BY_NAME, name
    git, dvc = "lockstep/repository/git.py", "lockstep/repository/dvc_process.py"
    assert running == {git, dvc, "lockstep/repository/stage_forks.py"}
    assert importing == {dvc, "lockstep/repository/dvc.py", "lockstep/repository/dvc_config.py"}
    # Each of the first two runs the one program: its only command begins with it.
    assert commands_of(git) == [["git"]]
    assert commands_of(dvc) == [["sys.executable", "-c", "_DVC"]]
    assert "from dvc.cli import main" in (ROOT / dvc).read_text()


def commands_of(file):
    """The beginnings of the lists that a module gives to ``subprocess``, as far as they are fixed."""
    found = []
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
            words = [word.value if isinstance(word, ast.Constant) else ast.unparse(word) for word in node.args[0].elts]
            found.append(words[: 1 if words[0] == "git" else 3])
    return found


def test_dvcs_private_names_are_known_in_one_place_each():
    """``.dvc/tmp`` and what is in it, the rwlock files, the references of experiments, the folder of objects."""
    private = re.compile(r"\.dvc/tmp|rwlock|refs/exps/\S*|EXEC_\w+|files/md5")
    found = {
        file.relative_to(ROOT).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and private.fullmatch(node.value)
    }
    repository = {f"lockstep/repository/{name}.py" for name in ("cache", "experiments")}
    assert found == {"lockstep/kernel/dvc_locks.py", *repository}
