"""Where the repository lies, what its files are called, and which paths lead to files of it."""

from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
"""The folder of the repository that this code is in."""
OWN_CODE = ("estimators", "features", "scorers")
"""The folders for code of the user's own (docs/own-code.md)."""
PARAMS, PIPELINE, CONTRACTS = Path("params.yaml"), Path("dvc.yaml"), Path("data/contracts")
"""From the root, where stages and commands are run: settings, stages, data contracts."""
LOGS = Path("logs")
"""Of every stage, below the working directory; neither git nor DVC looks there."""


def features_of(problem: str) -> Path:
    """Where the features of the user's own stand of a problem in params.yaml."""
    return Path(f"features/{problem}.py")


def is_safe(path: str) -> bool:
    """Whether a path leads to a file of the repository: neither absolute, nor upwards, nor into git's or DVC's own."""
    pure = PurePosixPath(path)
    return not (
        pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts or pure.parts[0] in (".git", ".dvc")
    )
