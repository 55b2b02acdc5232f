"""What the Dockerfile copies and installs is enough to serve, and is here."""

import re
import shutil
import subprocess
import sys

import pytest
from servers import need_library
from small import problem_with_model
from workspace import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COPIES = [line.split()[1:] for line in DOCKERFILE.splitlines() if line.startswith("COPY ")]
BUILT = {"models"}
"""What only a repository in which the stages have run has."""
CODE = """
import importlib.metadata, re, sys
from pathlib import Path

def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()

lock = Path("requirements-serve.lock").read_text()
installed = {plain(name) for name in re.findall(r"^([\\w.-]+)==", lock, re.MULTILINE)}
distributions = importlib.metadata.packages_distributions()

class OnlyTheLock:
    def find_spec(name, *_):
        if name in distributions and not installed & set(map(plain, distributions[name])):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyTheLock)
import lockstep.commands.deployment.serve, lockstep.deployment.serving.server
from lockstep.deployment.serving.app import Service, make_app
from lockstep.deployment.serving.identity import open_model
from lockstep.deployment.serving.service import Limits, answer

scorer, identity = open_model(next(Path("models/p").glob("*.joblib")))
make_app(Service(scorer, identity, Limits()))
row = b'{"number": 0.5, "text": "low", "flag": true}'
found = answer(scorer, Limits(), row, "application/json", None)
print(identity.commit, len(found.columns["row"]), "psutil" in sys.modules)
"""


@pytest.mark.exhaustive
def test_it_serves_from_what_is_copied_with_what_is_installed(tmp_path):
    need_library("fastapi", "serve")
    made, image = tmp_path / "made", tmp_path / "image"
    made.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        problem_with_model(made, monkeypatch, "classification")
    for *sources, target in COPIES:
        for source in sources:
            origin = (made if source in BUILT else ROOT) / source
            place = image / (target if origin.is_dir() else source)
            place.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if origin.is_dir() else shutil.copy)(origin, place)
    shutil.copy(made / "params.yaml", image / "params.yaml")
    environment = {"PATH": str(tmp_path), "LOCKSTEP_COMMIT": "abc"}  # no git
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(command, cwd=image, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "abc 1 False\n"


def test_what_is_copied_is_let_into_the_build_and_nothing_else():
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert let_in == {source for *sources, _ in COPIES for source in sources}
    for name in let_in - BUILT:
        assert (ROOT / name).exists(), name


def test_nobody_is_root_and_every_library_has_its_hash():
    assert re.search(r"^USER 10001$", DOCKERFILE, re.MULTILINE)
    assert "--require-hashes -r requirements-serve.lock" in DOCKERFILE
    lock = (ROOT / "requirements-serve.lock").read_text()
    pins = re.findall(r"^\S+==.*", lock, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", lock, re.MULTILINE)) > 30
    everything = (ROOT / "requirements.lock").read_text()
    for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE):
        other = re.search(rf"^{re.escape(name)}==(\S+)", everything, re.MULTILINE)
        assert other is None or other[1] == version, name
