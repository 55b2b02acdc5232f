"""What the documents say is true: files exist, the example works; their commands are run by test_pages.py."""

import json
import re
import subprocess
import sys

from workspace import DOCUMENTS, ROOT

README = ROOT / "README.md"


def test_the_python_example_runs(tmp_path):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.DOTALL)
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/iris.csv").write_bytes((ROOT / "data/raw/iris.csv").read_bytes())
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\ndataframe = None\n{block}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("models/random_forest_classifier_v1.joblib\n0.9")


def test_the_readme_is_short():
    assert len(README.read_text().splitlines()) <= 120


def test_the_readme_leads_to_every_page():
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in README.read_text(), page


def found_in(documents, pattern, at_least):
    """[(document, match)] of all of them; fewer than ``at_least`` would mean that the pattern finds them no longer."""
    found = [(document, name) for document in documents for name in re.findall(pattern, document.read_text())]
    assert len(found) >= at_least, found
    return found


def test_links_lead_to_files():
    for document, target in found_in(DOCUMENTS, r"\]\((?!https?:)([^)#]+)\)", at_least=30):
        assert (document.parent / target).exists(), (document, target)


def test_files_and_folders_of_code_that_are_named_exist():
    pattern = r"\b((?:lockstep|stages|tests|benchmarks)/[a-z_/]+(?:\.(?:py|md))?)"
    for document, name in found_in(DOCUMENTS, pattern, at_least=40):
        assert (ROOT / name).exists(), (document, name)


def test_what_is_named_in_a_file_of_code_is_there():
    """A constant that a document sends the reader to may get another name."""
    for document, (name, file) in found_in(DOCUMENTS, r"`(\w+)` in `([a-z_/]+\.py)`", at_least=1):
        assert re.search(rf"^(?:def |class )?{name}\b", (ROOT / file).read_text(), re.MULTILINE), (document, name)


def test_contributing_names_every_folder():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for folder in (path.parent for path in (ROOT / "lockstep").glob("*/__init__.py")):
        assert f"{folder.name}/`" in text, folder


def test_every_make_target_of_the_documents_exists():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    documents = [README, ROOT / "CONTRIBUTING.md"]
    for document, name in found_in(documents, r"(?:`|\$ )make ([a-z-]+)", at_least=8):
        assert name in targets, (document, name)


def test_the_table_of_models_is_the_tables():
    from lockstep.learning.model_types import MODELS

    text = (ROOT / "docs/models.md").read_text()
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \| (✓?) ?\| (✓?) ?\|$", text, re.MULTILINE)
    found = {name: (bool(c), bool(r)) for names, c, r in rows for name in re.findall(r"`([a-z_]+)`", names)}
    assert found == {n: ("classification" in m.estimators, "regression" in m.estimators) for n, m in MODELS.items()}


def test_params_yaml_names_every_model_type_and_every_setting_is_the_default():
    """The comments in params.yaml are the reference of the settings: nothing missing, and iris shows the defaults."""
    from lockstep.api import ModelConfig, Sections
    from lockstep.learning.model_types import MODELS
    from lockstep.steps.diagnosing.settings import DiagnoseSettings
    from lockstep.steps.reporting.sources import ReportSettings

    import msgspec
    import yaml

    text = (ROOT / "params.yaml").read_text()
    for name in MODELS:
        assert name in text
    shown = yaml.safe_load(text)["problems"]["iris"]
    sections = ModelConfig.from_params("iris", ROOT / "params.yaml").sections
    assert list(shown) == [*Sections._fields, "diagnose", "report"]
    for name, settings in zip(shown, [*sections, DiagnoseSettings(), ReportSettings()], strict=True):
        fields = msgspec.structs.fields(type(settings))
        assert list(shown[name]) == [field.name for field in fields if field.name != "path"] or set(shown[name]) == {
            field.name for field in fields
        }
        own = ("target", "drop", "hyperparameters", "space", "title", "intended_use", "limits", "licence")
        for field in fields:
            if field.default is not msgspec.NODEFAULT and field.name not in own:
                assert shown[name][field.name] == json.loads(msgspec.json.encode(field.default)), (name, field.name)


def test_no_document_has_a_path_of_a_machine():
    for path in DOCUMENTS:
        assert not re.search(r"/(home|root|work|Users)/", path.read_text()), path
