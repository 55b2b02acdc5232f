"""Secrets in tracked files, and what DVC's settings must say."""

import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.kernel.errors import SettingsError
from lockstep.repository.dvc_config import check_dvc_config
from lockstep.repository.git import tracked_files
from lockstep.repository.secret_scan import check_tracked, secrets_in

import pytest
from workspace import ROOT

# In pieces, so that this file holds none itself.
SECRETS = {
    "a private key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "an AWS access key": "key: AKIA" + "Z7Y6X5W4V3U2T1S0",
    "an AWS secret key": "aws_secret_access_key = " + "abcdEFGH0123/+zz" * 2 + "abcdEFGH",
    "a GitHub token": "token=ghp_" + "a1B2" * 9,
    "a GitLab token": "glpat-" + "a1B2-" * 4,
    "a Slack token": "xoxb-" + "123456789012-" * 2,
    "a Google key": "AIza" + "Sy0_-" * 7,
    "a Hugging Face token": "hf_" + "aB" * 17,
    "a key of a paid service": "sk-proj-" + "aB1_-" * 5,
    "a PyPI token": "pypi-AgE" + "aB1_-" * 12,
    "an Azure storage key": "AccountKey=" + "aB" * 43 + "==",
    "a password in a URL": "url = https://me:" + "s3cret@host.example/x",
}
HARMLESS = """\
-----BEGIN PUBLIC KEY-----
aws_secret_access_key = <yours>
AWS's example key: AKIAIOSFODNN7EXAMPLE
md5: 39052428cfeec067765246de22227f75
sha256: 62602ec072bf18e5a7c9962ce651220fc59716019f75764b34395b58638a0ca5
url = ssh://user@host.example:2222/path
https://user:password@host, https://user:$PASSWORD@host, https://user:****@host
git@github.com:owner/repository.git
task-proj-" and sk-learn
"""


OWN = "['remote \"own\"']\n    url = ssh://host/x\n    verify = true\n    password = x\n"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A git repository with nothing in it, and DVC's settings as they are shipped: none of the user's or machine's."""
    monkeypatch.chdir(tmp_path)
    for level in ("GLOBAL", "SYSTEM"):
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_bytes((ROOT / ".dvc/config").read_bytes())
    return tmp_path


def track(name, text):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    subprocess.run(["git", "add", "-f", name], check=True)
    return path


@pytest.mark.parametrize("what", SECRETS)
def test_a_secret_is_found_by_its_form_and_not_repeated(repository, what):
    track("notes.md", f"# Notes\n\nx {SECRETS[what]}\n")
    with pytest.raises(
        SettingsError, match=rf"git tracks what looks like secrets: {what} in notes\.md line 3\. Take them out"
    ) as error:
        check_tracked()
    assert SECRETS[what][-12:] not in str(error.value)


def test_what_is_no_secret(repository):
    track("notes.md", HARMLESS)
    track("binary", b"\0" + SECRETS["a private key"].encode())
    assert {name: secrets_in(Path(name), name) for name in tracked_files()} == {"binary": [], "notes.md": []}
    check_tracked()


def test_an_untracked_file_may_hold_secrets(repository):
    """Which check_tracked would raise SettingsError for, if git tracked it."""
    path = Path("notes.md")
    path.write_text(SECRETS["a private key"])
    assert secrets_in(path, path.name)
    check_tracked()


def test_credentials_in_dvcs_shared_settings(repository):
    config = Path(".dvc/config").read_text()
    track(".dvc/config", config + "['remote \"s3\"']\n    url = s3://b\n    verify = true\n    secret_access_key = x\n")
    with pytest.raises(
        SettingsError, match=r"git tracks what looks like secrets: 'secret_access_key' of remote \"s3\" in \.dvc/config"
    ):
        check_tracked()


@pytest.mark.parametrize("indent", ["    ", "        "])
def test_credentials_are_found_where_dvc_reads_them(repository, indent):
    config = Path(".dvc/config").read_text()
    track(".dvc/config", config + f"['remote \"s3\"']\n    url = s3://b\n{indent}secret_access_key = x\n")
    with pytest.raises(SettingsError, match=r"'secret_access_key' of remote \"s3\""):
        check_tracked()


@pytest.mark.parametrize(
    "line", ["api_key: abc", "    db_password: 'x y'", "my-token: 12", "api_key: abc  # ours", "password: a#b"]
)
def test_credentials_in_settings(repository, line):
    track("params.yaml", f"problems:\n{line}\n")
    with pytest.raises(SettingsError, match=r"git tracks what looks like secrets: '.*' in params\.yaml line 2"):
        check_tracked()


@pytest.mark.parametrize(
    "line",
    [
        "api_key:",
        "token: # set elsewhere",
        "max_tokens: 3",
        "target: password",
        "secret: []",
        "secret: []  # none",
        "api_key:   # abc",
    ],
)
def test_settings_that_are_no_credentials(repository, line):
    path = track("params.yaml", f"problems:\n{line}\n")
    assert secrets_in(path, path.name) == []


def test_this_repository_has_none():
    names = tracked_files(ROOT)
    assert "README.md" in names
    assert [finding for name in names for finding in secrets_in(ROOT / name, name)] == []


def test_a_folder_without_git_has_no_tracked_files(tmp_path):
    assert tracked_files(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("analytics = false", "analytics = true", "dvc config --project core.analytics false"),
        ("    analytics = false\n", "", "dvc config --project core.analytics false"),
        ("verify = true", "verify = false", "dvc remote modify --project bundled verify true"),
        ("    verify = true\n", "", "The remote 'bundled' has no 'verify = true'"),
        ("reflink,copy", "hardlink,copy", "has cache.type hardlink"),
        ('"reflink,copy"', "reflink, symlink", "has cache.type symlink.*'dvc config --project cache.type reflink,copy"),
        ('"reflink,copy"', '"reflink, symlink"', "has cache.type symlink"),
        ("[core]", "core", "is not a configuration of DVC's"),
        ("[core]", "[core]\n    analytics = false", "is not a configuration of DVC's"),
    ],
)
def test_settings_of_dvc_that_trust_too_much(repository, old, new, message):
    check_dvc_config()
    path = Path(".dvc/config")
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SettingsError, match=message):
        check_dvc_config()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[cache]\n    type = symlink\n",
            r"\.dvc/config\.local has cache.type symlink.*'dvc config --local cache.type",
        ),
        ("['remote \"mine\"']\n    url = /x\n", "dvc remote modify --local mine verify true"),
        (OWN, "others may read it. Type 'chmod 600 .dvc/config.local'"),
    ],
)
def test_settings_of_this_clone(repository, text, message):
    local = Path(".dvc/config.local")
    local.write_text(text)
    local.chmod(0o644)
    with pytest.raises(SettingsError, match=message):
        check_dvc_config()
    local.write_text(OWN)
    local.chmod(0o600)
    check_dvc_config()


def test_another_address_in_this_clone_does_not_undo_verify(repository):
    """The tunnel of docs/remotes.md."""
    local = Path(".dvc/config.local")
    local.write_text("['remote \"bundled\"']\n    url = ssh://me@127.0.0.1:2222/srv/models\n")
    check_dvc_config()
    local.write_text("['remote \"bundled\"']\n    url = /x\n    verify = false\n")
    with pytest.raises(SettingsError, match="Type 'dvc remote modify --local bundled verify true'"):
        check_dvc_config()


@pytest.mark.parametrize("level", ["global", "system"])
def test_settings_of_the_user_and_the_machine(repository, level):
    path = Path(level.upper(), "config")
    path.parent.mkdir()
    path.write_text("['remote \"g\"']\n    url = /x\n")
    with pytest.raises(
        SettingsError, match=f"The remote 'g' has no .* Type 'dvc remote modify --{level} g verify true'"
    ):
        check_dvc_config()
    path.write_text("['remote \"g\"']\n    url = /x\n    verify = true\n[core]\n    analytics = true\n")
    check_dvc_config()  # the repository's own come before them
    path.write_text("[core]\n    analytics = perhaps\n")
    with pytest.raises(SettingsError, match=f"{level.upper()}/config is not a configuration of DVC's: .*expected true"):
        check_dvc_config()


def test_the_command_says_it(repository, capsys):
    for name in ("params.yaml", "data/raw/iris.csv.dvc", "data/raw/housing.csv.dvc"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        track(name, (ROOT / name).read_text())
    assert main(["check"]) == 0
    track("key.pem", SECRETS["a private key"])
    assert main(["check"]) == 2
    assert "ERROR check: git tracks what looks like secrets: a private key in key.pem line 1" in capsys.readouterr().err
