"""The registry's tags: their names and what they say are what GTO's own reader finds."""

import subprocess

from lockstep.deployment.registry import tags
from lockstep.deployment.registry.promoting import _stage_tags, why_anyway
from lockstep.deployment.registry.registered import find_registered
from lockstep.deployment.registry.tags import (
    NewTag,
    artifact_name,
    check_stage,
    is_version,
    make_tags,
    next_version,
    read_tags,
    version_order,
)
from lockstep.kernel.errors import MachineError, SettingsError

import gto.api
import numpy as np
import pytest
from dvc.repo import Repo
from gto.tag import parse_name
from gto.versions import SemVer

VERSIONS = ["v0.0.1", "v1.0.0-rc.1", "v1.0.0-rc.2", "v1.0.0-rc.10", "v1.0.0-rc.x", "v1.0.0", "v1.0.1+b.2", "v10.0.0"]


@pytest.fixture
def git(tmp_path, monkeypatch):
    """A function that runs git in a new repository with three commits, ``c0`` to ``c2``."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, check=True):
        return subprocess.run(["git", *arguments], check=check, capture_output=True, text=True).stdout.strip()

    run("init", "-q", "-b", "main")
    run("config", "user.email", "test@example.org")
    run("config", "user.name", "Test")
    for number in range(3):
        run("commit", "-q", "--allow-empty", "-m", f"c{number}")
        run("branch", f"c{number}")
    return run


def registered(root, artifact="toy"):
    return find_registered(artifact, read_tags(root))


@pytest.mark.parametrize("name", ["toy@v1.2.0", "a/b=toy@v1.0.0-rc.1+5", "toy#prod#3", "toy#prod!#4", "toy@v1.0.0!"])
def test_names_are_read_as_gto_reads_them(git, tmp_path, name):
    make_tags([NewTag(name, "HEAD", 1_700_000_000, "a message\n# not a comment")], tmp_path)
    (tag,) = read_tags(tmp_path)
    found = parse_name(name)
    assert (tag.artifact.replace("=", ":"), tag.version, tag.stage) == (
        found["name"], found.get("version"), found.get("stage"),
    )  # fmt: skip
    assert tag.counter == found.get("counter", 0)
    assert tag.cancels == (found["action"].value in ("unassign", "deregister"))
    assert (tag.commit, tag.time, tag.tagger, tag.email) == (
        git("rev-parse", "HEAD"), 1_700_000_000, "Test", "test@example.org",
    )  # fmt: skip
    assert (tag.message, tag.is_signed) == ("a message\n# not a comment", False)


def test_other_tags_are_left_alone(git, tmp_path):
    git("tag", "toy@v1.0.0")  # without a message: GTO leaves it out
    for name in ("v1.0.0", "toy@1.0.0", "toy@v1.0", "toy#prod#x", "toy@latest"):
        git("tag", "-a", "-m", "x", name)
    git("tag", "-a", "-m", "x", "toy@v2.0.0", "HEAD^{tree}")
    assert read_tags(tmp_path) == []


def test_versions_are_ordered_as_semver_does():
    shuffled = [VERSIONS[i] for i in np.random.default_rng(0).permutation(len(VERSIONS))]
    assert sorted(shuffled, key=version_order) == sorted(shuffled, key=SemVer) == VERSIONS
    assert [
        text for text in ("1.0.0", "v1.0", "v01.0.0", "v1.0.0-", "v1.0.0-01", "", "V1.0.0") if is_version(text)
    ] == []


def test_the_next_version_is_gtos():
    assert next_version([]) == SemVer.get_minimal().version
    for version in VERSIONS:
        assert next_version([version, "v0.0.0"]) == SemVer(version).bump(bump_patch=True).version
    assert next_version(["v0.0.9", "v0.0.10"]) == "v0.0.11"


@pytest.mark.parametrize("name", ["", "prod-", "_prod", "pr.d", "a b", "prod!", "a//b", "prod#1", "größe"])
def test_names_of_stages_that_gto_or_git_refuse(name):
    with pytest.raises(SettingsError, match="cannot be the name of a stage"):
        check_stage(name)


def test_names_of_problems(tmp_path):
    assert artifact_name("toy", tmp_path, tmp_path) == "toy"
    assert artifact_name("toy", tmp_path / "ml/a", tmp_path) == "ml/a=toy"
    for folder, name in (tmp_path, "toy_"), (tmp_path / "my models", "toy"):
        with pytest.raises(SettingsError, match="cannot be the name of a model"):
            artifact_name(name, folder, tmp_path)


def test_gto_and_dvc_find_the_same_model_in_a_stage(git, tmp_path):
    """After each of a random sequence of promotions and demotions, most within one second."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(f"[core]\n    site_cache_dir = {tmp_path / '.dvc/tmp/site'}\n")
    random = np.random.default_rng(3)
    commits = [git("rev-parse", f"c{number}") for number in range(3)]
    make_tags([NewTag(f"toy@v0.0.{i}", commit, 1_700_000_000, "x") for i, commit in enumerate(commits)], tmp_path)
    for step in range(14):
        found, stage = registered(tmp_path), ["prod", "test"][random.integers(2)]
        held = found.held(stage)
        target = commits[random.integers(3)] if held is None or step % 4 else None
        if held is None or held.commit != target:
            make_tags(_stage_tags("toy", stage, found, target, "x", found.time + 1), tmp_path)
        found = registered(tmp_path)
        theirs = {
            one["stage"]: version["commit_hexsha"]
            for version in gto.api.show(str(tmp_path), "toy")
            for one in version["stages"]
        }
        assert theirs == {name: found.held(name).commit for name in found.stages if found.held(name)}
        if target:
            assert Repo(str(tmp_path)).artifacts.get_rev("toy", stage=stage) == target
    assert found.counter > 14


def test_going_back_twice_leads_back_twice(git, tmp_path):
    commits = [git("rev-parse", f"c{number}") for number in range(3)]
    found = registered(tmp_path)
    for commit in [*commits, commits[1]]:  # and back to the second
        make_tags(_stage_tags("toy", "prod", found, commit, "x", found.time + 1), tmp_path)
        found = registered(tmp_path)
    assert found.before["prod"] == [commits[0]]
    make_tags(_stage_tags("toy", "prod", found, None, "x", found.time + 1), tmp_path)
    found = registered(tmp_path)
    assert (found.held("prod"), found.before["prod"]) == (None, commits[:2])


def test_a_version_that_was_taken_back_is_in_no_stage(git, tmp_path):
    for name in ("toy@v1.0.0", "toy#prod#1", "toy@v1.0.0!"):
        found = registered(tmp_path)
        make_tags([NewTag(name, "HEAD", found.time + 1, "x")], tmp_path)
    found = registered(tmp_path)
    assert (found.versions, found.held("prod"), list(found.taken_back)) == ({}, None, ["v1.0.0"])
    assert gto.api.show(str(tmp_path), "toy") == []


def test_all_tags_or_none(git, tmp_path):
    new = [NewTag(f"toy#prod#{number}", "HEAD", 1, "x") for number in (1, 2)]
    git("tag", "toy#prod#2")
    with pytest.raises(SettingsError, match="there is a tag 'toy#prod#2' already"):
        make_tags(new, tmp_path)
    assert git("tag").split() == ["toy#prod#2"]
    with pytest.raises(MachineError, match="git cannot make the tag 'toy#prod#3'"):
        make_tags([new[0], NewTag("toy#prod#3", "0" * 40, 1, "x")], tmp_path)
    assert git("tag").split() == ["toy#prod#2"]


def test_a_tag_that_another_command_makes_meanwhile_stays(git, tmp_path, monkeypatch):
    make = tags._make_tag

    def first_another(tag, root):
        if tag.name == "toy#prod#2":
            git("tag", "-a", "-m", "theirs", tag.name)
        return make(tag, root)

    monkeypatch.setattr(tags, "_make_tag", first_another)
    with pytest.raises(MachineError, match="git cannot make the tag 'toy#prod#2': tag 'toy#prod#2' already exists"):
        make_tags([NewTag(f"toy#prod#{number}", "HEAD", 1, "x") for number in (1, 2)], tmp_path)
    assert [(tag.name, tag.message) for tag in read_tags(tmp_path)] == [("toy#prod#2", "theirs")]


def test_a_tag_that_cannot_be_signed_is_not_made(git, tmp_path):
    git("config", "tag.gpgSign", "true")
    git("config", "gpg.format", "ssh")
    git("config", "user.signingKey", str(tmp_path / "no key"))
    with pytest.raises(MachineError, match="git cannot"):
        make_tags([NewTag("toy@v1.0.0", "HEAD", 1, "x")], tmp_path)
    assert git("tag") == ""


def test_the_reason_in_a_message():
    assert why_anyway("toy v1.0.0 in prod\n\nAnyway: the old one leaks") == "the old one leaks"
    assert why_anyway("toy v1.0.0 in prod\n\nNot Anyway: x") is None
