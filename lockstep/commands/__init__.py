"""The commands of ``python -m lockstep``: arguments, printing, exit codes.

The only folder that prints. Imports any other folder.
"""

import argparse
from pathlib import Path

from lockstep.kernel.errors import DataError, did_you_mean, some
from lockstep.kernel.settings import Problem, read_problems
from lockstep.learning.model_file import ModelFile, model_file_name

PARAMS = Path("params.yaml")


def command_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The argument parser of the command ``name``, whose --help shows its module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m lockstep {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add ``--params FILE``."""
    parser.add_argument("--params", type=Path, default=PARAMS, metavar="FILE", help="default: %(default)s")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add ``MODEL``, which ``model_path`` finds the file of."""
    parser.add_argument("model", metavar="MODEL", help="a model file, models/NAME/....joblib, or the NAME of a problem")


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
            raise DataError(
                f"{path} does not exist: it is not built yet. Run 'dvc repro train@{name}', which makes it."
            )
    problems = f" {PARAMS} has: {some(names, 20)}.{did_you_mean(model, names)}" if names else ""
    raise DataError(f"{model} is neither a model file nor the name of a problem.{problems}")


def model_of(problem: Problem) -> Path:
    """The file of a problem's model, which need not be there. Raises SettingsError."""
    train = problem.pick("train", ModelFile)
    return Path(f"models/{problem.name}/{model_file_name(train.model, train.kind, train.version)}")
