"""``python -m lockstep check``: whether params.yaml is sound, all problems and all sections, before anything runs."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lockstep.errors import SettingsError
from lockstep.pipeline import ModelConfig
from lockstep.settings import read_problems


def main(argv: Sequence[str] | None = None) -> int:
    """Check every problem. Raises the first SettingsError."""
    parser = argparse.ArgumentParser(prog="python -m lockstep check", description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), metavar="FILE", help="default: %(default)s")
    args = parser.parse_args(argv)
    problems = read_problems(args.params)
    for name in problems:
        try:
            ModelConfig.from_params(name, args.params)
        except SettingsError as error:
            place = f"{args.params}: problems.{name}"
            raise SettingsError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None
    print(f"{args.params} is sound: {', '.join(problems)}")
    return 0
