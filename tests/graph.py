"""What dvc.yaml says of each stage, and what the code says: the files that a stage's script imports."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import requires

from lockstep.kernel.environment import INSTALLED_AS
from lockstep.kernel.paths import OWN_CODE
from lockstep.learning.model_types import MODELS

import yaml
from workspace import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
NAMES = [stage for stage in STAGES if stage != "check"]
"""The stages that compute. ``check`` tracks no code of Lockstep's, and nothing reruns because it ran."""
TEMPLATES = ROOT / "lockstep/steps/reporting/templates"


def local_files(module):
    """The files of this repository that importing ``module`` runs: its packages, then itself."""
    path = ROOT
    for part in module.split("."):
        path = path / part
        if (path / "__init__.py").exists():
            yield path / "__init__.py"
    if path.with_suffix(".py").exists():
        yield path.with_suffix(".py")


@cache
def imported_modules(file):
    """The modules that ``file`` imports, also those that its functions import when called. The package's own lazy
    exports (PEP 562) are for users of the API: no stage calls them.
    """
    tree, found = ast.parse(file.read_text()), []
    for node in tree.body if file.name == "__init__.py" else ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


@cache
def templates_of(file):
    """The templates that a module names, and those that these include."""
    names = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    found, todo = set(), [path for path in TEMPLATES.iterdir() if path.name in names]
    while todo:
        path = todo.pop()
        found.add(path)
        included = re.findall(r"\{%-? include \"(.*?)\"", path.read_text())
        todo += [TEMPLATES / name for name in included if TEMPLATES / name not in found]
    return found


@cache
def import_closure(module):
    """All files of this repository that running ``module`` reads, as paths from the root."""
    files, todo = set(), [module]
    while todo:
        for file in local_files(todo.pop()):
            if file not in files:
                files |= {file, *templates_of(file)}
                todo += imported_modules(file)
    return sorted(str(file.relative_to(ROOT)) for file in files)


def is_code(path):
    return path.startswith(("lockstep/", "stages/"))


def is_own_code(path):
    """Whether it is code of the user's own: a model that a stage opens may need it, whatever its arguments."""
    return path.split("/")[0] in OWN_CODE


def code_deps(stage):
    """What dvc.yaml lists for a stage of files and folders of code."""
    return [path for path in STAGES[stage]["do"]["deps"] if is_code(path)]


def files_of(path):
    """A listed file, or all files of a listed folder that DVC looks at (.dvcignore): modules and templates."""
    if not (ROOT / path).is_dir():
        return [path]
    found = (file for file in (ROOT / path).rglob("*") if file.suffix == ".py" or file.parent.name == "templates")
    return [str(file.relative_to(ROOT)) for file in found if file.is_file()]


def paths(stage, kind):
    """The outputs of one kind; those of metrics and plots are mappings with one key."""
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in STAGES[stage]["do"].get(kind, [])]


def all_outputs(stage):
    return [path for kind in ("outs", "metrics", "plots") for path in paths(stage, kind)]


LIBRARIES_OF = {
    "jinja2": "jinja2", "joblib": "joblib", "lightgbm": "lightgbm", "matplotlib": "matplotlib", "numpy": "numpy",
    "optuna": "optuna", "pandas": "pandas", "pyarrow": "pyarrow", "scipy": "scipy", "sklearn": "scikit-learn",
    "xgboost": "xgboost",
}  # fmt: skip
"""The libraries that decide results, by the names that they are imported under."""
BYSTANDERS = {"charset_normalizer", "markupsafe", "msgspec", "psutil", "rich", "skops", "threadpoolctl", "tqdm", "yaml"}
"""Libraries that stages import and that decide no result: for settings, processes, progress, messages."""


OF_MODELS = {entry.library for entry in MODELS.values()}
"""The libraries of the model types, which are imported where an estimator is built or a model is opened to predict."""
FITS_OR_PREDICTS = {"lockstep/learning/estimators.py", "lockstep/learning/scoring.py"}


@cache
def libraries(stage):
    """The libraries that the code of ``stage`` imports, and those that these need, by the names they are installed
    under."""
    found = set(OF_MODELS) if FITS_OR_PREDICTS & set(import_closure(f"stages.{stage}")) else set()
    for file in [path for path in import_closure(f"stages.{stage}") if path.endswith(".py")]:
        for node in ast.walk(ast.parse((ROOT / file).read_text())):  # what a function imports when called, too
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for root in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"lockstep", "stages"}:
                assert root in LIBRARIES_OF or root in BYSTANDERS, (
                    f"{file} imports {root}: a library that decides results belongs in LIBRARIES of "
                    "lockstep/kernel/environment.py, versions.toml and here, any other one in BYSTANDERS"
                )
                found.add(root)
    todo, found = [LIBRARIES_OF[root] for root in found if root in LIBRARIES_OF], set()
    while todo:
        name = todo.pop()
        found.add(name)
        needed = {
            re.split(r"[ ;<>=!~\[(]", line)[0]
            for line in requires(INSTALLED_AS.get(name, [name])[0]) or ()
            if "extra ==" not in line
        }
        todo += [other for other in needed & set(LIBRARIES_OF.values()) if other not in found]
    return found
