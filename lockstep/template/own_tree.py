"""What a repository of one's own takes from this one, and what in it belongs to whoever owns it."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from lockstep.intake.editing.yaml_entries import without_entries
from lockstep.intake.problems.problem_files import IGNORED
from lockstep.kernel.lock_file import LOCK_FILE
from lockstep.kernel.paths import CONTRACTS, PARAMS, PIPELINE
from lockstep.kernel.settings import check_problems
from lockstep.kernel.strict_yaml import parse_yaml
from lockstep.template.links import relinked


class File(NamedTuple):
    """A file as git has it: its mode, such as 100644, and its bytes."""

    mode: str
    data: bytes


Tree = Mapping[str, File]
"""The files of a commit, by their paths."""
_MOVED = {"README.md": "docs/lockstep.md", "CHANGELOG.md": "docs/changelog.md", str(PARAMS): "docs/settings.yaml"}
"""What is Lockstep's description, news, and reference of the settings moves out of the owner's way."""
_OWN = (
    "README.md", "CHANGELOG.md", "CONTRIBUTING.md", str(PARAMS), str(LOCK_FILE), "versions.toml", "data/*",
    "features/*", "estimators/*.py", "scorers/*.py", "metrics/*", "reports/*", "tests/*", "benchmarks/*", "examples/*",
    "publishing/*", "zensical.toml", "requirements-docs.lock", ".ci/*", ".github/*",
)  # fmt: skip
"""The owner's, in a repository of one's own: no later version touches it. What there is of it here is about the
problems that Lockstep ships, tests Lockstep itself, or is written anew by each repository."""
_NOT_OWN = (".github/workflows/retrain.yml",)
"""Lockstep's all the same: it says how Lockstep's commands retrain any problem."""
_README = """\
# {name}

A [Lockstep](docs/lockstep.md) repository: every model follows from data, settings and code, is versioned with them, and
can be rebuilt bit for bit.

```console
$ make repro                                # sets everything up in .venv, builds what changed, shows the result
$ source .venv/bin/activate                 # once per terminal
$ python -m lockstep add ~/customers.csv    # make a table a problem of this repository
$ make test                                 # the tests in tests/, which are yours
```

- `params.yaml`: the settings of every problem; [docs/settings.yaml](docs/settings.yaml) says what each of them means.
- `data/raw/`, `data/contracts/`: tables, and what they must look like ([data/README.md](data/README.md)).
- `features/`, `estimators/`, `scorers/`: code of your own ([docs/own-code.md](docs/own-code.md)).
- `lockstep/`, `stages/`, `docs/`: Lockstep itself; [docs/upgrading.md](docs/upgrading.md) brings later versions.

The pipeline is Lockstep's, under the [Apache License 2.0](LICENSE).
"""
_TEST = '''\
"""Tests of this repository: add yours of features/, estimators/ and scorers/. 'make test' runs them."""

from lockstep.__main__ import main


def test_settings_and_contracts_are_sound():
    assert main(["check"]) == 0
'''
_PARAMS = """\
# yaml-language-server: $schema=params.schema.json
# The settings of every problem; docs/settings.yaml says what each means. To add one: python -m lockstep add FILE

problems: {}
"""
_BUNDLED = re.compile(r"^\['remote \"bundled\"'\]\n(?: .*\n)*", re.MULTILINE)
_TABLE = re.compile(r"^## raw/.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def is_own(path: str) -> bool:
    """Whether a file belongs to whoever owns the repository."""
    return path not in _NOT_OWN and any(fnmatchcase(path, own) for own in _OWN)


def lockstep_tree(template: Tree) -> dict[str, File]:
    """The files of ``template``, a commit of Lockstep, that a repository of one's own takes of it.

    Its problems stay behind; a link in a document to a file that stays behind, too, becomes its text.

    Raises:
        SettingsError: the template's params.yaml or dvc.yaml cannot be read.
    """
    moved = {old: new for old, new in _MOVED.items() if old in template and new not in template}
    places = {path: path for path in template if not is_own(path)} | moved
    there = {*places.values(), *first_tree("", template)}

    def is_gone(path: str) -> bool:
        return path not in there and not any(file.startswith(f"{path}/") for file in there)

    found = {}
    for old, new in places.items():
        mode, data = template[old]
        if new.endswith(".md"):
            data = relinked(data.decode(), old, new, moved, is_gone).encode()
        found[new] = File(mode, data)
    problems = check_problems(parse_yaml(template[str(PARAMS)].data, PARAMS), PARAMS)
    pipeline = without_entries(found[str(PIPELINE)].data.decode(), PIPELINE, "artifacts", problems)
    found[str(PIPELINE)] = found[str(PIPELINE)]._replace(data=pipeline.encode())
    if config := found.get(".dvc/config"):  # the remote that holds the problems' tables
        found[".dvc/config"] = config._replace(data=_BUNDLED.sub("", config.data.decode()).encode())
    return found


def first_tree(name: str, template: Tree) -> dict[str, File]:
    """The owner's files to begin with, in a repository called ``name``."""
    texts = {
        "README.md": _README.format(name=name),
        str(PARAMS): _PARAMS,
        "versions.toml": template["versions.toml"].data.decode(),
        "data/README.md": _TABLE.sub("", template["data/README.md"].data.decode()).rstrip() + "\n",
        str(IGNORED): "",
        f"{CONTRACTS}/.gitkeep": "",
        "features/.gitkeep": "",
        "tests/test_repository.py": _TEST,
    }
    return {path: File("100644", text.encode()) for path, text in texts.items()}
