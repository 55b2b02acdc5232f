"""The commands promote, demote and models: a history of models that is made by hand."""

import shutil
import subprocess
from functools import partial

import gto.api
import pytest
import yaml
from model_history import History, run_command

pytestmark = pytest.mark.usefixtures("few_resamples")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Commits with models: tags ``good``, ``bad``, ``other-rows``, ``other-target``; not evaluated: ``unjudged``."""
    made = History(tmp_path_factory.mktemp("promote") / "repository")
    for name, settings in {
        "unjudged": {"skill": 0.9, "seed": 7, "evaluated": False},
        "other-rows": {"skill": 0.7, "seed": 3, "rows": "other"},
        "other-target": {"skill": 0.7, "seed": 4, "odd": True},
        "bad": {"skill": 0.0, "seed": 6},
        "good": {"skill": 0.7},
    }.items():
        made.record(accuracy=0.8, **settings)
        made.git("tag", name)
    return made


@pytest.fixture
def history(made, tmp_path, monkeypatch):
    copy = made.copy_to(tmp_path / "repository")
    monkeypatch.chdir(copy.folder)
    return copy


@pytest.fixture
def run(history, capsys):
    """A function that runs a command there: its exit code, and what it printed, with --json parsed."""
    return partial(run_command, capsys)


def tags(history):
    return {name for name in history.git("tag").split() if name.startswith("toy")}


def message(history, tag):
    return history.git("cat-file", "tag", tag).partition("\n\n")[2]


def in_stage(history, stage="prod"):
    """What GTO finds in a stage."""
    return [one["version"] for one in gto.api.show(str(history.folder), f"toy#{stage}")]


def test_the_first_promotion(history, run):
    status, text = run("promote", "toy", "--to", "prod")
    assert status == 0
    assert "is in prod now, where none was." in text
    assert text.endswith("Publish them: git push origin toy@v0.0.1 'toy#prod#1'\n")
    assert tags(history) == {"toy@v0.0.1", "toy#prod#1"}
    assert in_stage(history) == ["v0.0.1"]
    assert "accuracy 0.500 [0.400, 0.600]" in message(history, "toy@v0.0.1")
    status, text = run("promote", "toy", "--to", "prod")
    assert (status, text) == (0, "prod has this model already: toy v0.0.1. Nothing was changed.\n")
    history.commit()  # another commit with the same model
    assert "has this model already" in run("promote", "toy", "--to", "prod")[1]
    assert tags(history) == {"toy@v0.0.1", "toy#prod#1"}


def test_a_better_model_takes_the_place(history, run):
    assert run("promote", "toy", "bad", "--to", "prod", "--version", "v1.3.0")[0] == 0
    status, text = run("promote", "toy", "--to", "prod", "good")
    assert status == 0
    assert "toy: better" in text
    assert "is in prod now, instead of v1.3.0." in text
    assert tags(history) == {"toy@v1.3.0", "toy@v1.3.1", "toy#prod#1", "toy#prod#2", "toy#prod!#3"}
    assert in_stage(history) == ["v1.3.1"]
    assert "Instead of v1.3.0: better\nThe same 120 test rows on both sides.\naccuracy " in message(
        history, "toy#prod#2"
    )
    run("promote", "toy", "--to", "staging", "good")  # which has a version
    assert tags(history) >= {"toy#staging#4"}
    assert not tags(history) & {"toy@v1.3.2"}
    entries = run("leaderboard", "--problem", "toy", "--json")[1]["entries"]
    assert sorted(name for entry in entries for name in entry["names"] if "toy" in name) == ["toy@v1.3.0", "toy@v1.3.1"]


def test_a_worse_model_needs_a_reason(history, run):
    run("promote", "toy", "--to", "prod", "good")
    before = tags(history)
    status, text = run("promote", "toy", "--to", "prod", "bad")
    assert status == 1
    assert "toy: worse" in text
    assert "is worse, beyond chance, compared with v0.0.1" in text
    assert tags(history) == before
    status, text = run("promote", "toy", "--to", "prod", "bad", "--anyway", "the old one\nleaks: #12")
    assert status == 0
    assert in_stage(history) == ["v0.0.2"]
    assert "Instead of v0.0.1: worse\n" in message(history, "toy#prod#2")
    assert message(history, "toy#prod#2").endswith("Anyway: the old one leaks: #12")
    assert "prod has v0.0.2 in spite of an objection: the old one leaks: #12" in run("models", "toy")[1]
    status, text = run("promote", "toy", "--to", "prod", "v0.0.1", "--anyway", "not needed")
    assert status == 0
    assert "There was no objection, so the reason that you gave was not recorded." in text
    assert in_stage(history) == ["v0.0.1"]


@pytest.mark.parametrize(
    ("other", "why"),
    [("other-target", "The target was y (classification) and is x<b>&y"), ("gone", "is not in DVC's cache")],
)
def test_what_cannot_be_compared_needs_a_reason(history, run, other, why):
    champion = "bad" if other == "gone" else "good"
    run("promote", "toy", "--to", "prod", champion)
    if other == "gone":  # the champion's predictions are
        lock = yaml.safe_load(history.git("show", "bad:dvc.lock"))
        history.cached(lock["stages"]["evaluate@toy"]["outs"][0]["md5"]).unlink()
    before, challenger = tags(history), "good" if other == "gone" else other
    status, text = run("promote", "toy", "--to", "prod", challenger)
    assert status == 1
    assert "cannot be compared with v0.0.1" in text
    assert why in text
    assert tags(history) == before
    assert run("promote", "toy", "--to", "prod", challenger, "--anyway", "because")[0] == 0
    assert "Instead of v0.0.1: not comparable\n" in message(history, "toy#prod#2")


def test_other_test_rows_need_a_reason(history, run):
    run("promote", "toy", "--to", "prod", "good")
    status, text = run("promote", "toy", "--to", "prod", "other-rows")
    assert status == 1
    assert "toy: no detectable difference" in text  # on so few rows that it says nothing
    assert "they have other test rows, and only 16 of 120 in common; at least half are needed." in text
    assert run("promote", "toy", "--to", "prod", "other-rows", "--anyway", "a new split")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["toy", "--to", "prod", "unjudged"],
            1,
            "evaluate@toy: models/toy/forest.joblib. Run 'dvc repro evaluate@toy'",
        ),
        (["toy", "--to", "prod", "nonsense"], 2, "There is no revision 'nonsense'"),
        (["toy", "--to", "prod", "v9.0.0"], 2, "toy has no version 'v9.0.0'. It has: none."),
        (["toy", "--to", "prod", "workspace"], 2, "what is promoted is a commit"),
        (["toy", "--to", "prod", "models"], 2, "There is no revision 'models'"),
        (["toyy", "--to", "prod"], 2, "has no problem 'toyy'. It has: toy. Did you mean 'toy'?"),
        (["toy", "--to", "pr.d"], 2, "'pr.d' cannot be the name of a stage"),
        (["toy", "--to", "prod", "--version", "1.0"], 2, "'1.0' is no version"),
        (["toy", "--to", "prod", "--anyway", " "], 2, "--anyway is for the reason"),
    ],
)
def test_what_is_refused(history, run, arguments, code, message):
    status, text = run("promote", *arguments)
    assert (status, tags(history)) == (code, set())
    assert message in text


def test_a_commit_without_a_model(history, run):
    (history.folder / "dvc.lock").unlink()
    history.commit()
    status, text = run("promote", "toy", "--to", "prod")
    assert status == 2
    assert "has no model of toy: its dvc.lock records none." in text


def test_uncommitted_changes_are_not_what_is_promoted(history, run):
    (history.folder / "params.yaml").write_text((history.folder / "params.yaml").read_text() + "# more\n")
    status, text = run("promote", "toy", "--to", "prod")
    assert (status, tags(history)) == (2, set())
    assert "not as in the last commit, whose model would be promoted: params.yaml." in text
    assert run("promote", "toy", "--to", "prod", "HEAD")[0] == 0


def test_a_commit_with_other_settings_or_files_than_were_run(history, run):
    params = history.folder / "params.yaml"
    params.write_text(params.read_text().replace("depth: 3", "depth: 4"))
    (history.folder / "raw.csv").write_text("a,y\n1,2\n")
    history.commit()
    status, text = run("promote", "toy", "--to", "prod")
    assert (status, tags(history)) == (1, set())
    assert "train@toy: params.yaml: problems.toy.train" in text
    history.git("reset", "-q", "--hard", "good")
    (history.folder / "metrics/plots/toy/intervals.csv").write_text("metric,value,low,high\naccuracy,1,1,1\n")
    history.commit()
    status, text = run("promote", "toy", "--to", "prod")
    assert (status, tags(history)) == (3, set())
    assert "has other files than its stages wrote: metrics/plots/toy/intervals.csv (evaluate@toy)" in text


@pytest.mark.parametrize(("damage", "message"), [("gone", "'dvc fetch --all-commits'"), ("flipped", "repair --all")])
def test_a_model_that_is_not_in_the_cache(history, run, damage, message):
    lock = yaml.safe_load((history.folder / "dvc.lock").read_text())
    path = history.cached(lock["stages"]["train@toy"]["outs"][0]["md5"])
    path.unlink() if damage == "gone" else path.write_bytes(b"other")
    status, text = run("promote", "toy", "--to", "prod")
    assert (status, tags(history)) == (3, set())
    assert "models/toy/forest.joblib, train@toy" in text
    assert message in text


def test_versions_are_never_moved(history, run):
    run("promote", "toy", "--to", "prod", "good", "--version", "v2.0.0")
    before = tags(history)
    status, text = run("promote", "toy", "--to", "test", "bad", "--version", "v2.0.0")
    assert status == 2
    assert "version v2.0.0 of toy is that of commit" in text
    status, text = run("promote", "toy", "--to", "test", "good", "--version", "v2.1.0")
    assert status == 2
    assert "is version v2.0.0 of toy already: leave --version out." in text
    assert tags(history) == before
    history.git("tag", "-a", "-m", "x", "toy@v2.0.0!", "good")
    assert "was taken back (the tag toy@v2.0.0!)" in run("promote", "toy", "--to", "test", "good")[1]


def test_none_of_the_tags_is_left_when_one_fails(history, run):
    history.git("tag", "toy#prod#1")  # without a message: it is none of the registry's
    status, text = run("promote", "toy", "--to", "prod")
    assert status == 2
    assert "there is a tag 'toy#prod#1' already" in text
    assert tags(history) == {"toy#prod#1"}


def test_a_shallow_clone(history, run, tmp_path, monkeypatch):
    clone = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{history.folder}", str(clone)], check=True)
    monkeypatch.chdir(clone)
    for command in (["promote", "toy", "--to", "prod"], ["demote", "toy", "--from", "prod"]):
        status, text = run(*command)
        assert status == 4
        assert "'git fetch --unshallow --tags'" in text


def test_demote(history, run):
    run("promote", "toy", "--to", "prod", "bad")
    run("promote", "toy", "--to", "prod", "good")
    status, text = run("demote", "toy", "--from", "prod", "--back")
    assert status == 0
    assert "toy v0.0.2 is no longer in prod: it has v0.0.1 again." in text
    assert in_stage(history) == ["v0.0.1"]
    before = tags(history)
    status, text = run("demote", "toy", "--from", "prod", "--back")
    assert (status, tags(history)) == (2, before)
    assert "nothing was in 'prod' of toy before v0.0.1." in text
    status, text = run("demote", "toy", "--from", "prod")
    assert status == 0
    assert "toy v0.0.1 is no longer in prod: it is empty." in text
    assert in_stage(history) == []
    assert len(tags(history) - before) == 1
    assert run("demote", "toy", "--from", "prod")[0] == 2


def test_demote_from_a_stage_that_has_nothing(history, run):
    assert "no model of 'toyy' is in any stage. Did you mean 'toy'?" in run("demote", "toyy", "--from", "prod")[1]
    run("promote", "toy", "--to", "prod")
    status, text = run("demote", "toy", "--from", "prd")
    assert status == 2
    assert "nothing is in 'prd' of toy. Stages with a model: prod. Did you mean 'prod'?" in text


def test_models(history, run):
    status, text = run("models")
    assert status == 0
    assert "toy: no model is registered" in text
    run("promote", "toy", "--to", "prod", "bad")
    run("promote", "toy", "--to", "staging", "good")
    _, text = run("models", "toy")
    lines = [line.split() for line in text.splitlines()]
    good, bad = (history.git("rev-parse", name) for name in ("good", "bad"))
    first, second = (next(line for line in lines if name in line) for name in ("v0.0.2", "v0.0.1"))
    assert first[:4] == ["v0.0.2", good[:7], "staging", "since"]
    assert first[5:8] == ["0.500", "[0.400,", "0.600]"]
    assert second[:3] == ["v0.0.1", bad[:7], "prod"]
    assert max(map(len, text.splitlines())) <= 100
    status, models = run("models", "toy", "--json")
    assert [(one["version"], one["commit"], one["by"], one["signature"]) for one in models] == [
        ("v0.0.2", good, "Test", "none"), ("v0.0.1", bad, "Test", "none"),
    ]  # fmt: skip
    assert models[0]["test"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert [stage["stage"] for stage in models[0]["stages"]] == ["staging"]
    assert "| `v0.0.2` |" in run("models", "toy", "--md")[1]
    status, text = run("models", "toyy")
    assert status == 2
    assert "there is no problem 'toyy'. There are: toy. Did you mean 'toy'?" in text


def test_what_gto_registered_itself_is_listed(history, run):
    gto.api.register(str(history.folder), "toy", "bad", version="v3.0.0")
    gto.api.assign(str(history.folder), "toy", "prod", version="v3.0.0")
    gto.api.assign(str(history.folder), "toy", "test", ref="good", skip_registration=True)
    _, models = run("models", "toy", "--json")
    assert [(one["version"], [stage["stage"] for stage in one["stages"]]) for one in models] == [
        ("v3.0.0", ["prod"]), (None, ["test"]),
    ]  # fmt: skip
    assert run("promote", "toy", "--to", "prod", "good")[0] == 0
    assert in_stage(history) == ["v3.0.1"]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: apt-get install openssh-client")
def test_tags_are_signed_if_git_is_told_to(history, run, tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    for key, value in {"gpg.format": "ssh", "user.signingKey": str(tmp_path / "key"), "tag.gpgSign": "true"}.items():
        history.git("config", key, value)
    assert run("promote", "toy", "--to", "prod")[0] == 0
    assert "signature not checked" in run("models", "toy")[1]
    kind, key, *_ = (tmp_path / "key.pub").read_text().split()
    (tmp_path / "signers").write_text(f"test@example.org {kind} {key}\n")
    history.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    _, models = run("models", "toy", "--json")
    assert (models[0]["signature"], models[0]["stages"][0]["signature"]) == ("good", "good")
    assert in_stage(history) == ["v0.0.1"]
