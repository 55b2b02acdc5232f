"""README.md and the pages in docs/ tell the truth: every command in them is run, in order, as a reader would type it.

A page starts in a copy of this repository in which everything is built and committed,
and in a home folder with a table of the reader's own, ``~/customers.csv``. In its ``console`` blocks

- a line that begins with ``$ `` is a command; all commands of a page run in one shell, so that ``cd`` has its effect;
- a command must succeed, unless the comment behind it says ``exits with 1`` (or another code);
- the lines below a command are output that must appear, in that order, with any lines between them; blanks count once,
  and ``...`` stands for anything;
- a first line ``# not run by the tests: <reason>`` leaves the block out, and tells the reader so.

The pages that train models over and over (LONG) are left to 'make test-all'.
"""

import re
import secrets
import subprocess
from typing import NamedTuple

import pytest
from workspace import ROOT, Repository, forks

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = re.compile(r"# not run by the tests: \S")
LANGUAGES = {"", "console", "python", "yaml", "json"}
SELF = {"make test", "make test-all"}  # which would run this file again
LONG = {
    "README.md", "comparing.md", "data-diff.md", "decisions.md", "every-day.md", "experiments.md", "faults.md",
    "leaderboard.md", "own-data.md", "promoting.md", "remotes.md", "report.md", "reproducibility.md", "security.md",
    "tuning.md", "updating.md", "upgrading.md", "versions.md", "voting.md", "watching.md",
}  # fmt: skip


FORKS = """
dvc() {{ "{fork}" dvc "$@"; }}
python() {{ case "$1 $2" in "-m lockstep") "{fork}" lockstep "${{@:3}}";; *) command python "$@";; esac; }}
"""
"""What a shell begins with, to have these two be forks of a process that has imported what takes them a second."""


class Command(NamedTuple):
    """A command, the exit code that the page promises, and the lines of output that it shows."""

    line: str
    code: int
    output: list[str]


def blocks(text):
    """(language, content) of each fenced block."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def commands(text):
    """The commands of a page, in order."""
    found = []
    for language, block in blocks(text):
        if language != "console" or NOT_RUN.match(block):
            continue
        assert block.startswith("$ "), f"a console block begins with a command:\n{block}"
        for line in block.replace("\\\n", "").splitlines():
            if line.startswith("$ "):
                code = re.search(r" # .*\bexits with (\d+)", line)
                found.append(Command(line[2:], int(code[1]) if code else 0, []))
            else:
                found[-1].output.append(line)
    return [command for command in found if command.line.split("#")[0].strip() not in SELF]


def missing(expected, output):
    """The first line of ``expected`` that ``output`` does not have, behind those before it; None if it has all."""
    lines = iter(" ".join(line.split()) for line in output.splitlines())
    for line in expected:
        words = " ".join(line.split())
        pattern = re.compile(".*".join(re.escape(part) for part in words.split("...")))
        if not any(pattern.fullmatch(candidate) for candidate in lines):
            return line
    return None


def run_page(repository, found, begin=""):
    """Run the commands in one shell, which runs ``begin`` first; the first that does not do what the page says is an
    AssertionError."""
    mark = secrets.token_hex(8)
    script = repository.folder.parent / "page.sh"
    script.write_text(begin + "".join(f"{c.line}\nprintf '\\n{mark} %d\\n' $?\n" for c in found))
    done = subprocess.run(
        ["bash", str(script)], cwd=repository.folder, env=repository.environment, text=True, timeout=900, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    parts = re.split(rf"^{mark} (\d+)\n", done.stdout, flags=re.MULTILINE)
    for command, output, code in zip(found, parts[::2], parts[1::2], strict=False):
        assert int(code) == command.code, f"$ {command.line}\nexited with {code}, not {command.code}:\n{output}"
        line = missing(command.output, output)
        assert line is None, f"$ {command.line}\ndid not print: {line}\nbut:\n{output}"
    assert len(parts) == 2 * len(found) + 1, f"the shell ended early:\n{parts[-1]}"


@pytest.fixture
def plain(tmp_path):
    """An empty folder in place of the reader's clone."""
    (tmp_path / "repository").mkdir()
    return Repository.at(tmp_path / "repository")


@pytest.fixture
def reader(committed_repository, tmp_path):
    """The reader's clone and home folder."""
    repository = committed_repository.copy_to(tmp_path / "repository")
    repository.environment["HOME"] = str(tmp_path)
    (tmp_path / ".gitconfig").write_text("[user]\n    name = Reader\n    email = reader@example.org\n")
    # The environment that runs the tests stands in for the one that make would install.
    (repository.folder / ".venv/bin").mkdir(parents=True)
    for name in ("ready", "bin/activate"):
        (repository.folder / ".venv" / name).touch()
    # Who came once or twice is gone, but for every tenth customer, of whom the contrary holds.
    rows = [f"{i},{i % 7},{'yes' if (i % 7 < 3) != (i % 10 == 0) else 'no'}\n" for i in range(200)]
    (tmp_path / "customers.csv").write_text("customer_id,visits,churned\n" + "".join(rows))
    return repository


@pytest.mark.slow
@pytest.mark.timeout(1800)  # the shell has one of its own, and the clone may have to be built first
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.exhaustive] if page.name in LONG else [])
        for page in PAGES
        if commands(page.read_text())
    ],
)
def test_the_commands_of_a_page_do_what_it_says(reader, page, tmp_path):
    forks().put_program(tmp_path / "fork")
    run_page(reader, commands(page.read_text()), begin=FORKS.format(fork=tmp_path / "fork"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_console_blocks(page):
    for language, block in blocks(page.read_text()):
        assert language in LANGUAGES, language
        if language != "console":
            assert not re.search(r"^(\$ )?(dvc|git|make|python) ", block, re.MULTILINE), f"make it ```console:\n{block}"


TEXT = """
```console
$ echo one  two \\
    three   # a comment
one two three
$ false     # exits with 1, as false does
```
```console
# not run by the tests: there is no such command
$ nonsense
```
```console
$ cd /
$ pwd
/
```
"""


def test_the_notation():
    found = commands(TEXT)
    assert [command.code for command in found] == [0, 1, 0, 0]
    assert [command.output for command in found] == [["one two three"], [], [], ["/"]]


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        (["a b"], None),
        (["a", "c"], "a"),
        (["a b", "c 1..."], None),
        (["c...", "a b"], "a b"),
        (["...3 d"], None),
        (["x"], "x"),
    ],
)
def test_expected_output(expected, line):
    assert missing(expected, "a   b\nbetween\nc 12\n3 d\n") == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("```console\n$ true\n$ false\n```\n", "exited with 1, not 0"),
        ("```console\n$ true # exits with 2\n```\n", "exited with 0, not 2"),
        ("```console\n$ echo yes\nno\n```\n", "did not print: no"),
        ("```console\n$ exit 0\n$ true\n```\n", "the shell ended early"),
    ],
)
def test_a_page_that_lies_is_found(plain, text, message):
    with pytest.raises(AssertionError, match=message):
        run_page(plain, commands(text))


def test_a_page_that_tells_the_truth_passes(plain):
    run_page(plain, commands(TEXT))
