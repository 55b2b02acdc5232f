"""The import law that lockstep/__init__.py states: a folder imports only folders above it in that list."""

import re
import subprocess
import sys

import lockstep

import pytest
from graph import import_closure, imported_modules
from workspace import ROOT

LAW = re.findall(r"^- ``(\w+)``:", lockstep.__doc__, re.MULTILINE)
PACKAGE = ROOT / "lockstep"


def place_of(module):
    """The folder (or top module) of ``lockstep.place.module``."""
    return module.split(".")[1] if module.count(".") else ""


def test_the_list_names_every_folder():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert set(LAW) == folders | modules
    assert len(LAW) == len(set(LAW))


@pytest.mark.parametrize("place", LAW)
def test_a_folder_imports_only_folders_above_it(place):
    files = [PACKAGE / f"{place}.py"] if (PACKAGE / f"{place}.py").exists() else (PACKAGE / place).rglob("*.py")
    for file in files:
        for module in imported_modules(file):
            root, other = module.split(".")[0], place_of(module)
            if root == "lockstep" and other in LAW:
                assert LAW.index(other) <= LAW.index(place), f"{file} imports {module}"
            assert root != "stages" or place == "api", f"{file} imports {module}: only the API imports stages"


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
        entries = [path for path in folder.iterdir() if path.name != "__pycache__"]
        assert len(entries) <= 21, (folder, len(entries))


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
