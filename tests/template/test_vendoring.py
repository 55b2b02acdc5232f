"""python -m lockstep new and upgrade, by git in temporary folders: a repository of one's own, later versions in it."""

import re
import subprocess

import pytest
import yaml
from workspace import Repository

IN_A_NAME = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Test", "EMAIL": "test@example.org"}.items()
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(Lockstep, a repository that 'new' made of it), in one folder."""
    lockstep = Repository(tmp_path_factory.mktemp("template") / "lockstep")
    lockstep.environment |= IN_A_NAME
    done = lockstep.run("python", "-m", "lockstep", "new", "../churn-model")
    own = Repository.at(lockstep.folder.parent / "churn-model")
    own.environment |= IN_A_NAME
    assert "Made ../churn-model: a repository of your own, one commit" in done.stdout
    assert "Next:  cd ../churn-model" in done.stdout
    return lockstep, own


@pytest.fixture
def pair(made, tmp_path):
    copies = tuple(repository.copy_to(tmp_path / repository.folder.name) for repository in made)
    for copy in copies:
        copy.environment |= IN_A_NAME
    return copies


def lockstep(repository, *arguments, code=0):
    done = repository.run("python", "-m", "lockstep", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def tracked(repository):
    return repository.run("git", "ls-files").stdout.splitlines()


def table(folder):
    path = folder / "customers.csv"
    path.write_text("a,churned\n" + "".join(f"{i % 17},{'yes' if i % 3 else 'no'}\n" for i in range(200)))
    return str(path)


def test_it_has_the_pipeline_in_one_commit_and_nothing_of_the_problems(made):
    template, own = made
    assert own.run("git", "rev-list", "--count", "--all").stdout == "1\n"
    assert own.run("git", "remote").stdout == ""
    assert own.run("git", "status", "--porcelain").stdout == ""
    head = template.run("git", "rev-parse", "HEAD").stdout
    assert own.run("git", "log", "-1", "--format=%s").stdout == f"Lockstep {head}"
    files = tracked(own)
    assert {name.split("/")[0] for name in files} == {
        ".dockerignore", ".dvc", ".dvcignore", ".gitattributes", ".github", ".gitignore", ".pre-commit-config.yaml",
        "Dockerfile", "LICENSE", "Makefile", "README.md", "data", "docs", "dvc.yaml", "estimators", "features",
        "lockstep",
        "params.schema.json", "params.yaml", "pyproject.toml", "requirements-notebooks.lock", "requirements-scale.lock",
        "requirements-serve.lock", "requirements-sources.lock", "requirements.lock", "scorers", "stages", "tests",
        "versions.toml",
    }  # fmt: skip
    assert [name for name in files if name.startswith(".github/")] == [".github/workflows/retrain.yml"]
    assert not [name for name in files if re.search("iris|housing", name)]
    for name in files:
        if name.startswith(("lockstep/", "stages/", "requirements")):
            assert (own.folder / name).read_bytes() == (template.folder / name).read_bytes()
    assert (own.folder / "README.md").read_text().startswith("# churn-model\n")
    assert yaml.safe_load((own.folder / "params.yaml").read_text()) == {"problems": {}}
    assert (own.folder / "docs/settings.yaml").read_bytes() == (template.folder / "params.yaml").read_bytes()
    assert "bundled" not in (own.folder / ".dvc/config").read_text()


def test_its_links_lead_to_files(made):
    _, own = made
    n_links = 0
    for document in own.folder.rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
            assert (document.parent / target).exists(), (document, target)
            n_links += 1
    assert n_links > 40


@pytest.mark.exhaustive
def test_it_is_sound_and_takes_a_table(pair, tmp_path):
    _, own = pair
    assert "has no problem yet" in lockstep(own, "check")
    assert own.repro() == []
    assert "has no problem yet" in lockstep(own, "summary")
    own.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    lockstep(own, "add", table(tmp_path))
    assert "is sound: customers" in lockstep(own, "check")
    assert "load@customers" in own.dvc("stage", "list").stdout


def test_what_is_made_of_one_made_is_alike(made, tmp_path):
    _, own = made
    lockstep(own, "new", str(tmp_path / "churn-model"))
    again = Repository.at(tmp_path / "churn-model")
    assert tracked(again) == tracked(own)
    assert not [name for name in tracked(own) if (again.folder / name).read_bytes() != (own.folder / name).read_bytes()]


@pytest.mark.exhaustive
def test_a_later_version_is_merged_and_what_is_the_owners_stays(pair, tmp_path):
    template, own = pair
    lockstep(own, "add", table(tmp_path))
    (own.folder / "features/customers.py").write_text("def features(rows):\n    return rows.assign(b=rows['a'])\n")
    (own.folder / "scorers/mine.py").write_text("def mine(actual, predicted):\n    return 1.0\n")
    (own.folder / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (own.folder / "README.md").write_text("# Mine\n")
    with (own.folder / "data/README.md").open("a") as file:
        file.write("\n## raw/customers.csv\n\nMine.\n")
    own.set("customers", "train", seed=7)
    own.commit("customers")
    of_the_owner = {
        name: (own.folder / name).read_bytes()
        for name in tracked(own)
        if re.match("params|README|features|data|scorers/mine|dvc.lock|versions|tests", name)
    }
    assert len(of_the_owner) >= 10

    assert "has that version of Lockstep already" in lockstep(own, "upgrade", str(template.folder))
    errors = template.folder / "lockstep/kernel/errors.py"
    errors.write_text(errors.read_text().replace('"""The errors', '"""All errors', 1))
    for name in ("params.yaml", "README.md", "CHANGELOG.md", "versions.toml", "data/README.md"):
        with (template.folder / name).open("a") as file:
            file.write("# The next version.\n")
    pipeline = template.folder / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("desc: Read the data", "desc: Read all the data", 1))
    (template.folder / "docs/tuning.md").unlink()
    (template.folder / "docs/next.md").write_text("New.\n")
    template.commit("the next version")

    before = own.run("git", "rev-parse", "HEAD").stdout
    said = lockstep(own, "upgrade", str(template.folder))
    assert "files differ; the branch 'lockstep' has them." in said
    assert own.run("git", "rev-parse", "HEAD").stdout == before
    assert own.run("git", "status", "--porcelain").stdout == ""
    own.run("git", "merge", "-q", "--no-edit", "lockstep")
    own.run("git", "branch", "-d", "lockstep")
    assert (own.folder / "lockstep/kernel/errors.py").read_bytes() == errors.read_bytes()
    assert "desc: Read all the data" in (own.folder / "dvc.yaml").read_text()
    assert "customers" in yaml.safe_load((own.folder / "dvc.yaml").read_text())["artifacts"]
    assert (own.folder / "docs/settings.yaml").read_text().endswith("# The next version.\n")
    assert (own.folder / "docs/next.md").exists()
    assert not (own.folder / "docs/tuning.md").exists()
    assert {name: (own.folder / name).read_bytes() for name in of_the_owner} == of_the_owner
    assert "is sound: customers" in lockstep(own, "check")

    # The one after that begins with what was merged, by an address as well.
    (template.folder / "docs/next.md").write_text("Newer.\n")
    template.commit("the version after that")
    assert "1 file differs; the branch 'lockstep' has it." in lockstep(
        own, "upgrade", f"file://{template.folder}", "--revision", "main"
    )
    own.run("git", "merge", "-q", "--no-edit", "lockstep")
    assert (own.folder / "docs/next.md").read_text() == "Newer.\n"


def test_a_branch_with_commits_of_ones_own_is_not_overwritten(pair):
    template, own = pair
    (template.folder / "docs/next.md").write_text("New.\n")
    template.commit("the next version")
    own.run("git", "checkout", "-q", "-b", "lockstep")
    assert "the branch 'lockstep' is checked out" in lockstep(own, "upgrade", str(template.folder), code=2)
    own.run("git", "commit", "-q", "--allow-empty", "-m", "mine")
    own.run("git", "checkout", "-q", "-")
    assert "the branch 'lockstep' has commits of yours" in lockstep(own, "upgrade", str(template.folder), code=2)


def test_refused(pair, tmp_path):
    template, own = pair
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for folder, message in (
        (tmp_path / "full", "exists, and is no empty folder"),
        (tmp_path / "full/file", "exists, and is no empty folder"),
        (template.folder / "mine", "is inside this repository"),
    ):
        assert message in lockstep(template, "new", str(folder), code=2)
    assert not (template.folder / "mine").exists()
    assert "was not made by 'python -m lockstep new'" in lockstep(template, "upgrade", str(own.folder), code=2)
    assert "has no commit 'v9'" in lockstep(own, "upgrade", str(template.folder), "--revision", "v9", code=2)
    assert "git cannot clone ../nothing" in lockstep(own, "upgrade", "../nothing", code=4)


def test_without_a_name_nothing_is_made(pair, tmp_path):
    template, _ = pair
    (tmp_path / "empty").mkdir()
    template.environment |= {"HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    template.environment |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.useConfigOnly",
        "GIT_CONFIG_VALUE_0": "1",
    }
    for name in IN_A_NAME:
        del template.environment[name]
    for name in ("mine", "empty"):
        assert "git does not know in whose name to commit" in lockstep(template, "new", str(tmp_path / name), code=4)
    assert not (tmp_path / "mine").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_without_git_says_so(pair, tmp_path):
    template, _ = pair
    subprocess.run(["rm", "-rf", str(template.folder / ".git")], check=True)
    assert "Clone Lockstep with git" in lockstep(template, "new", str(tmp_path / "mine"), code=2)
