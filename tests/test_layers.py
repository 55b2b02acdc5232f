"""The layering that lockstep/__init__.py states."""

import subprocess
import sys

import pytest
from test_dvc_yaml import ROOT, import_closure, imported_modules

from lockstep.__main__ import COMMANDS

KERNEL = {"portable", "environment", "settings", "table", "files", "log"}
TOP = {
    "pipeline",
    "__main__",
    "repair",
    "rebuild",
    "attestation",
    "model_diff",
    *(command.replace("-", "_") for command in COMMANDS),
}


def local_imports(file):
    return {module for module in imported_modules(file) if module.split(".")[0] in ("lockstep", "stages")}


@pytest.mark.parametrize("name", sorted(KERNEL))
def test_the_kernel_imports_errors_alone(name):
    modules = {module.split(".")[1] for module in local_imports(ROOT / f"lockstep/{name}.py")}
    assert modules <= {"errors"}


def test_shared_modules_import_neither_stages_nor_the_top():
    for file in (ROOT / "lockstep").glob("*.py"):
        if file.stem not in TOP | {"__init__"}:
            for module in local_imports(file):
                assert module.split(".")[0] == "lockstep", (file, module)
                assert module.split(".")[1] not in TOP, (file, module)


def test_only_pipeline_imports_stages():
    importers = {
        file.stem
        for file in (ROOT / "lockstep").glob("*.py")
        if any(m.startswith("stages.") for m in local_imports(file))
    }
    assert importers == {"pipeline"}


def test_the_lazy_export_costs_a_stage_nothing():
    assert import_closure("lockstep") == ["lockstep/__init__.py", "lockstep/portable.py"]
    code = (
        "import sys, lockstep; assert 'numpy' not in sys.modules; lockstep.run_pipeline; assert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_unknown_names_are_an_attribute_error():
    import lockstep

    with pytest.raises(AttributeError, match="module 'lockstep' has no attribute 'nonsense'"):
        lockstep.nonsense  # noqa: B018


def test_load_needs_no_scikit_learn():
    code = "import sys, stages.load; sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
