"""The commands of ``python -m lockstep``: arguments, printing, exit codes.

Nothing else prints, but ``kernel`` and ``__main__`` an error, and ``comparing.rendering`` what a command hands to it.
Imports any other folder.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockstep.kernel.errors import DataError, LockstepError, SettingsError, did_you_mean, some
from lockstep.kernel.lock_file import outputs, read_lock
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import Problem, read_problems
from lockstep.learning.model_file import ModelFile, model_file_name

if TYPE_CHECKING:
    from lockstep.deployment.registry.staged_model import StagedModel


class Command(NamedTuple):
    """What a command is for, in a line, and the arguments of an example."""

    purpose: str
    example: str = ""


class Room(NamedTuple):
    """Commands for one need, whose modules are in a folder here; what the need is called where they are listed."""

    title: str
    commands: dict[str, Command]


ROOMS = {
    "intake": Room(
        "tables of yours",
        {
            "add": Command("make a table of yours a problem of this repository", "~/customers.csv --target churned"),
            "update": Command(
                "bring new data of a problem in: more rows, or the table anew", "customers new.csv --append"
            ),
            "rename": Command("give a problem another name", "customers churn"),
            "remove": Command("take a problem out of the repository", "customers --dry-run"),
        },
    ),
    "pipeline": Room(
        "runs",
        {
            "check": Command("whether the settings in params.yaml are sound"),
            "repro": Command("dvc repro, with how far it has come and how long the rest took last", "report@customers"),
            "explain": Command("which stages would run now, and because of what", "customers"),
            "log": Command(
                "the last run of each stage: when, how long, how much memory, what took longest", "customers"
            ),
            "summary": Command("what the last run gave: models, files, metrics"),
            "plots": Command("the plots of dvc.yaml on one page that needs no network", "main try-300 --open"),
            "index": Command("all problems on one page, with links to their reports", "--open"),
            "worker": Command(
                "compute folds for another machine, as a worker of a Dask cluster", "tcp://10.0.0.1:8786"
            ),
            "example": Command("the Python API on the two problems that Lockstep ships"),
        },
    ),
    "comparing": Room(
        "comparisons",
        {
            "compare": Command(
                "whether the model of one revision is better than another's, or it is noise",
                "main try-300 --problem customers",
            ),
            "leaderboard": Command(
                "the models of all commits and experiments, the best first, and which are as good",
                "--problem customers --html",
            ),
            "sweep": Command(
                "cross-validate every model type on a problem, and rank them",
                "customers --models lightgbm logistic_regression",
            ),
            "data-diff": Command("what changed in the data between two revisions", "v1.0 main --problem customers"),
        },
    ),
    "deployment": Room(
        "models at work",
        {
            "predict": Command("score new rows with a saved model", "customers new.csv -o predictions.csv"),
            "export": Command(
                "write a model as a file that runs no code when it is loaded", "customers --format skops"
            ),
            "models": Command("the registered models: versions, stages, how good each is", "customers"),
            "promote": Command(
                "put a commit's model into a stage, such as prod, unless it is worse than the one there",
                "customers --to prod",
            ),
            "demote": Command("take the model out of a stage, or go back to the one before", "customers --from prod"),
            "serve": Command("answer requests for predictions over HTTP", "customers --port 8000"),
            "watch": Command(
                "whether new rows are what the model was trained on, and it is as good on them",
                "customers new.csv --actual churned --fail-if shifted,worse",
            ),
        },
    ),
    "provenance": Room(
        "proofs",
        {
            "verify": Command("whether what is here is what dvc.lock says, from the bytes", "--all"),
            "repair": Command("put the recorded bytes back where they are missing or altered"),
            "rebuild": Command(
                "prove that a commit's outputs follow from its raw data, code and settings",
                "v1.0 --output rebuild.json",
            ),
            "release": Command(
                "sign a release, or check one: tag, code, data and models", "sign v1.0 --key ~/.ssh/id_ed25519"
            ),
            "versions": Command("the recorded versions of what decides results, and those that are here"),
        },
    ),
    "repository": Room(
        "the repository",
        {
            "new": Command(
                "begin a repository of your own with this one's pipeline, and without its problems", "../churn-model"
            ),
            "upgrade": Command(
                "bring a later version of Lockstep into a repository that 'new' made", "../lockstep --revision v2.0"
            ),
            "merge": Command("settle what git cannot merge (dvc.lock, metrics), by building it anew"),
            "remote": Command(
                "push or pull data and models, with a time limit, from a cache that was verified",
                "push --time-limit 600",
            ),
            "doctor": Command("what is wrong that DVC does not say, and fix it", "--fix"),
        },
    ),
}
"""Every command, as usage, --help and docs/commands.md show it; its module here has its name, with ``_`` for ``-``."""
COMMANDS = {name: command for room in ROOMS.values() for name, command in room.commands.items()}


def module_of(name: str) -> str:
    """The name of the module whose ``main`` is the command ``name``."""
    room = next(room for room, each in ROOMS.items() if name in each.commands)
    return f"lockstep.commands.{room}.{name.replace('-', '_')}"


def example_of(name: str) -> str:
    """The line to type, as an example of the command ``name``."""
    return f"python -m lockstep {name} {COMMANDS[name].example}".rstrip()


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The argument parser of the command ``name``, whose --help shows its module's docstring and an example."""
    return argparse.ArgumentParser(
        prog=f"python -m lockstep {name}",
        description=description,
        epilog=f"example:\n  {example_of(name)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add ``--params FILE``."""
    parser.add_argument("--params", type=Path, default=PARAMS, metavar="FILE", help="default: %(default)s")


def add_model(parser: argparse.ArgumentParser, *, staged: bool = False) -> None:
    """Add ``MODEL``, which ``model_path`` finds the file of or, if it may be in a stage, ``given_model``."""
    more = ", or NAME#STAGE: what that stage of the registry has (docs/promoting.md)" if staged else ""
    parser.add_argument(
        "model", metavar="MODEL", help=f"a model file, models/NAME/....joblib, or the NAME of a problem{more}"
    )


class GivenModel(NamedTuple):
    """A model that a command was given.

    Attributes:
        path: of its file.
        problem: its problem, where that is known.
        root: of the repository, or of the copy of a commit, that its settings, contract and training rows are in.
        staged: the model, where it was asked for by its stage.
    """

    path: Path
    problem: str | None
    root: Path = Path()
    staged: "StagedModel | None" = None


@contextlib.contextmanager
def given_model(model: str, problem: str | None = None, *, evaluated: bool = False) -> Iterator[GivenModel]:
    """Find what ``model`` means: a path, a problem's name, or NAME#STAGE; the last is gone when the block ends.

    Args:
        problem: what --problem says.
        evaluated: as of ``staged_model``.

    Raises:
        DataError, SettingsError: as ``model_path``; or --problem beside a stage.
        LockstepError: as ``staged_model``.
    """
    name, mark, stage = model.partition("#")
    if not mark or Path(model).exists():
        yield GivenModel(model_path(model), problem)
        return
    if problem is not None:
        raise SettingsError(f"--problem is for model files. {model} names its problem: leave --problem out.")
    from lockstep.deployment.registry.staged_model import staged_model  # imports DVC, which a file does without

    with staged_model(name, stage, evaluated=evaluated) as found:
        yield GivenModel(found.path, name, found.root, found)


def model_path(model: str) -> Path:
    """The file that ``model``, a path or a problem's name, means; of both the path, if it is there.

    Raises:
        DataError: there is none, with what makes it.
        SettingsError: the settings of the problem are wrong.
    """
    if Path(model).exists() and not Path(model).is_dir():
        return Path(model)
    names = list(read_problems(PARAMS)) if PARAMS.exists() else []
    for name in names:
        path = model_of(Problem(PARAMS, name))
        if name == model and path.exists():
            return path
        if name == model or Path(model) == path:
            raise DataError(f"{path} does not exist{_remedy(path, name)}.")
    problems = f" {PARAMS} has: {some(names, 20)}.{did_you_mean(model, names)}" if names else ""
    raise DataError(f"{model} is neither a model file nor the name of a problem.{problems}")


def _remedy(path: Path, name: str) -> str:
    """What makes the model of a problem, or brings it back where dvc.lock records it."""
    with contextlib.suppress(LockstepError):
        if path.as_posix() in outputs(read_lock().values()):
            return f", though dvc.lock records it. 'dvc checkout {path}' brings it back, or 'dvc pull {path}'"
    return f": it is not built yet. Run 'dvc repro train@{name}', which makes it"


def model_of(problem: Problem) -> Path:
    """The file of a problem's model, which need not be there. Raises SettingsError."""
    train = problem.pick("train", ModelFile)
    return Path(f"models/{problem.name}/{model_file_name(train.model, train.kind, train.version)}")
