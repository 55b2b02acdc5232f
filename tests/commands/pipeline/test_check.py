"""python -m lockstep check, and hostile settings: nothing in them is run, nothing outside the repository is read."""

import json
import os
import time
from pathlib import Path

from lockstep.__main__ import main
from lockstep.api import ModelConfig, Sections
from lockstep.kernel.errors import SettingsError
from lockstep.reading.source import data_path
from stages import load

import msgspec
import pytest
import yaml
from dvc.parsing import DataResolver
from dvc.repo import Repo
from small import make_table, widened
from workspace import ROOT, Repository


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A folder with the files that DVC reads, as this repository has them."""
    folder = tmp_path / "repository"
    pointers = [f"data/raw/{name}.csv.dvc" for name in ("iris", "housing")]
    contracts = [f"data/contracts/{name}.yaml" for name in ("iris", "housing")]
    features = ["features/iris.py", "features/housing.py"]
    for name in ("params.yaml", "dvc.yaml", *contracts, *features, *pointers, ".dvc/config"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    monkeypatch.chdir(folder)
    return folder


def settings():
    return yaml.safe_load(Path("params.yaml").read_text())


LOL = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MAPS = "a0: &a0 {x: 1, y: 2}\n" + "".join(
    f"a{i}: &a{i} {{{','.join(f'k{j}: *a{i - 1}' for j in range(8))}}}\n" for i in range(1, 9)
)
BOMBS = {
    "lists of lists": LOL,
    "maps of maps": MAPS,
    "20,000 levels": "a: " + "[" * 20_000 + "]" * 20_000,
    "a list that holds itself": "a: &a [*a]\n",
    "200,000 keys": "".join(f"key_{i}: 1\n" for i in range(200_000)),
    "a tag that runs a command": "a: !!python/object/apply:os.system ['touch ran']\n",
    "a key that stands twice": "stages: {}\nstages: {}\n",
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("params.yaml", 2),
        ("dvc.yaml", 2),
        ("data/contracts/iris.yaml", 2),
        ("dvc.lock", 3),
        ("data/raw/iris.csv.dvc", 3),
    ],
)
def test_yaml_that_stalls_or_fools_readers_is_refused(repository, capsys, file, code, bomb):
    assert main(["check"]) == 0
    Path(file).write_text(BOMBS[bomb])
    start = time.perf_counter()
    assert main(["check"]) == code
    assert time.perf_counter() - start < 60  # DVC does not come back from some of these
    message = capsys.readouterr().err
    assert file in message
    assert "Traceback" not in message
    assert not Path("ran").exists()


@pytest.mark.parametrize("file", ["params.yaml", "dvc.yaml", "dvc.lock", "data/raw/iris.csv.dvc"])
def test_a_link_to_a_device_is_not_read(repository, capsys, file):
    Path(file).unlink()
    Path(file).symlink_to("/dev/zero")
    assert main(["check"]) in (2, 3)
    assert f"{file} is not a regular file" in capsys.readouterr().err


PLACES = {
    "upwards": "../secret.csv",
    "up and down again": "data/../data/raw/iris.csv",
    "absolute": "{outside}/secret.csv",
    "a link to a file": "link.csv",
    "a link to a folder": "folder/secret.csv",
    "a link to itself": "circle.csv",
    "a URL": "http://127.0.0.1:9/iris.csv",
    "a file URL": "file:///etc/passwd",
    "a bucket": "s3://bucket/iris.csv",
    "a pipe": "pipe.csv",
    "a device": "/dev/zero",
    "a folder": "data",
    "git's folder": ".git/config",
    "DVC's folder": ".dvc/config.local",
    "two lines": "data/raw/iris.csv\nx",
    "no text for a path": "data/raw/\0iris.csv",
}


@pytest.mark.parametrize("place", PLACES)
def test_data_is_read_from_the_repository_only(repository, tmp_path, capsys, place):
    (tmp_path / "secret.csv").write_text(make_table(rows=120).frame.to_csv(index=False))
    Path("link.csv").symlink_to(tmp_path / "secret.csv")
    Path("folder").symlink_to(tmp_path)
    Path("circle.csv").symlink_to("circle.csv")
    os.mkfifo("pipe.csv")
    for name in (".git/config", ".dvc/config.local"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes((tmp_path / "secret.csv").read_bytes())
    content = settings()
    content["problems"]["iris"]["load"] |= {"path": PLACES[place].format(outside=tmp_path), "target": "y"}
    Path("params.yaml").write_text(json.dumps(content))
    before = {path: path.lstat() for path in tmp_path.rglob("*") if not path.is_dir()}
    arguments = ["--contract", "data/contracts/iris.yaml", "--table", "t.parquet", "--profile", "p.json"]
    assert load.main(["--problem", "iris", *arguments]) == 2
    message = capsys.readouterr().err
    assert "load.path" in message
    assert "Traceback" not in message
    assert not Path("t.parquet").exists()
    for path, status in before.items():
        assert (path.lstat().st_size, path.lstat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert main(["check"]) == 2


@pytest.mark.parametrize(
    "text", ["data/raw/iris.csv", "./data/raw/iris.csv", "{here}/data/raw/iris.csv", "data/absent é.csv"]
)
def test_places_in_the_repository(repository, text):
    assert data_path(text.format(here=repository)) == Path(text.format(here=repository))


def test_a_table_that_is_nowhere_is_said_before_dvc_stumbles(repository, capsys):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("data/raw/iris.csv", "data/raw/iriss.csv", 1))
    assert main(["check"]) == 2
    said = capsys.readouterr().err
    assert "problems.iris: load.path is data/raw/iriss.csv, which does not exist" in said
    assert "Did you mean 'data/raw/iris.csv'?" in said


@pytest.mark.parametrize("change", [("\n  iris:", "\n  flowers:"), ("\n  housing:", "\n  houses:")])
def test_an_artifact_of_a_problem_that_was_renamed_is_said(repository, capsys, change):
    """DVC refuses every command then, in words of its own."""
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace(*change, 1))
    assert main(["check"]) == 2
    gone = change[0].strip("\n :")
    assert (
        f"dvc.yaml names the problem '{gone}' (artifacts.{gone}?), which params.yaml has not" in capsys.readouterr().err
    )


def test_the_contract_of_a_problem_that_was_renamed_is_missing(repository, capsys):
    """DVC says only that a file is missing, once it runs."""
    for file in ("params.yaml", "dvc.yaml"):
        Path(file).write_text(
            Path(file).read_text().replace("iris:\n", "flowers:\n").replace("problems.iris.", "problems.flowers.")
        )
    assert main(["check"]) == 2
    assert capsys.readouterr().err == (
        "ERROR check: data/contracts/flowers.yaml, the data contract of the problem 'flowers', does not exist. If the "
        "problem was renamed: 'git mv data/contracts/iris.yaml data/contracts/flowers.yaml'.\n"
    )
    Path("data/contracts/iris.yaml").rename("data/contracts/flowers.yaml")
    assert main(["check"]) == 2
    assert "'git mv features/iris.py features/flowers.py'" in capsys.readouterr().err
    Path("features/iris.py").rename("features/flowers.py")
    assert main(["check"]) == 0
    Path("data/contracts/flowers.yaml").unlink()
    assert main(["check"]) == 2
    assert (
        "Take 'flowers' out of params.yaml, and have 'python -m lockstep add' add it again" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "message"),
    [
        (
            "dvc.yaml",
            "stages:\n",
            "stages: []\nplots_:\n",
            2,
            "expected a dictionary for dictionary value @ data['stages']",
        ),
        ("dvc.lock", "stages: {}", "stages: {}\nstage: {}", 3, "extra keys not allowed @ data['stage']"),
        ("dvc.lock", "'2.0'", "2.0", 3, "invalid schema version for dictionary value @ data['schema']"),
        (
            "data/raw/iris.csv.dvc",
            "hash: md5",
            "hash: md5\n  sise: 3",
            3,
            "extra keys not allowed @ data['outs'][0]['sise']",
        ),
    ],
)
def test_valid_yaml_that_dvcs_schema_refuses(repository, capsys, file, old, new, code, message):
    path = Path(file)
    path.write_text(path.read_text().replace(old, new, 1))
    assert main(["check"]) == code
    said = capsys.readouterr().err
    assert f"{file} is not of the form that DVC reads: {message}" in said
    assert f"'git checkout HEAD -- {file}' brings the last commit's back" in said


INJECTIONS = [
    "; touch ran #", "$(touch ran)", "`touch ran`", "| touch ran", "&& touch ran", "\ntouch ran\n", "'; touch ran; '",
    '"; touch ran; "', "${key}", "${problems}", "> ran", "../../ran",
]  # fmt: skip


SETTINGS = [
    (section, field.name)
    for section, kind in Sections.__annotations__.items()
    for field in msgspec.structs.fields(kind)
]


def test_no_setting_reaches_a_command(repository):
    """Commands as DVC itself makes them of dvc.yaml, every text in the settings being an injection."""

    def commands():
        resolver = DataResolver(repo, str(repository), yaml.safe_load(Path("dvc.yaml").read_text()))
        return {name: stage["cmd"] for name, stage in resolver.resolve()["stages"].items()}

    repo = Repo.init(str(repository), no_scm=True, force=True)
    with repo:
        expected = commands()
        assert "train@iris" in expected
        for injection in INJECTIONS:
            content = settings()
            for section, name in SETTINGS:
                content["problems"]["iris"][section][name] = injection.replace("${", "$\\{")
            Path("params.yaml").write_text(json.dumps(content))
            assert commands() == expected, injection
            Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())


@pytest.mark.parametrize("injection", widened(INJECTIONS, INJECTIONS[::3]))
def test_a_setting_is_refused_or_a_text_that_is_nothing_more(repository, injection):
    taken = set()
    for section, name in SETTINGS:
        content = settings()
        content["problems"]["iris"][section][name] = injection
        Path("params.yaml").write_text(json.dumps(content))
        try:
            found = ModelConfig.from_params("iris").sections
        except SettingsError:
            continue
        taken.add(f"{section}.{name}")
        assert name == "path" or getattr(getattr(found, section), name) == injection
        assert main(["check"]) in (0, 2)
    assert taken <= {"load.path", "load.target", "load.encoding", "split.group", "split.time"}
    assert not Path("ran").exists()


@pytest.mark.parametrize("injection", INJECTIONS)
def test_a_problem_of_such_a_name_is_refused(repository, capsys, injection):
    content = settings()
    content["problems"][injection] = content["problems"]["iris"]
    Path("params.yaml").write_text(json.dumps(content))
    assert main(["check"]) == 2
    assert "is not a problem name. Allowed: letters, digits" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.exhaustive
def test_injections_through_dvc(tmp_path):
    """As values they are texts; as a problem's name, 'make repro' never comes as far as DVC."""
    copy = Repository(tmp_path / "copy")
    ran = copy.folder / "ran"
    sound = copy.folder / "data/checked/iris.json"  # what the stage check writes, which a single stage waits for
    sound.parent.mkdir(exist_ok=True)
    sound.write_text('{"settings": "sound"}')
    for injection in ("$(touch ran)", "'; touch ran; '"):
        copy.set("iris", "load", target=injection)
        done = copy.dvc("repro", "--single-item", "load@iris", check=False)
        assert "has no column" in done.stderr
        assert done.returncode == 255
        assert not ran.exists()
    done = copy.dvc("exp", "run", "-S", "problems.iris.load.target='x; touch ran'", "load@iris", check=False)
    assert done.returncode == 255
    assert not ran.exists()
    path = copy.folder / "params.yaml"
    path.write_text(path.read_text().replace("  iris:\n", "  \"iris'; touch ran; '\":\n", 1))
    makefile = (copy.folder / "Makefile").read_text()
    assert makefile.index("python -m lockstep check", makefile.index("\nrepro:")) < makefile.index("-m lockstep repro")
    done = copy.lockstep("check", check=False)
    assert done.returncode == 2
    assert "is not a problem name" in done.stderr
    assert not ran.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("beds", "preprocess.text_columns lists 'beds', whose type is number."),
        ("wal", "preprocess.text_columns lists 'wal', which is not among the features: yrbuilt, stories, "),
        ("avalue", "preprocess.text_columns lists 'avalue', which is not among the features: "),
        ("price", "preprocess.text_columns lists 'price', which is not among the features: "),
    ],
)
def test_free_text_that_is_none_by_the_contract(repository, capsys, name, message):
    content = settings()
    content["problems"]["housing"]["preprocess"]["text_columns"] = ["wall", name]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert main(["check"]) == 2
    assert f"params.yaml: problems.housing: {message}" in capsys.readouterr().err
    content["problems"]["housing"]["preprocess"]["text_columns"] = ["wall"]
    Path("params.yaml").write_text(yaml.safe_dump(content))
    assert main(["check"]) == 0
