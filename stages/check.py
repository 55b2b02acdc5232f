"""Refuse settings that cannot run, before DVC has removed what the other stages have written.

DVC removes a stage's outputs and then runs it, so a stage that refuses its own settings has lost them. All other stages
wait for this one, by its first output, which never differs: they do not rerun because of it.

Reads   all sections of the problem in params.yaml, the files of the user's own code that they name, of which nothing is
        run, and what the last commits record
Writes  that the settings can run; the hashes of these files, so that a stage that runs some reruns if they change; and
        what the last commits record into DVC's run cache, so that going back to their settings restores what they made

    python -m stages.check --problem iris --sound data/checked/iris.json \\
        --estimators data/checked/estimators/iris.json --scorers data/checked/scorers/iris.json
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.api import check_problem
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import md5_of
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import run_stage, stage_parser
from lockstep.kernel.used_code import FOLDERS, code_record
from lockstep.repository.recorded_runs import remember_runs


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    try:
        check_problem(problem)
    except SettingsError:
        _make_visible(problem.path)
        raise
    remember_runs()
    outputs.json(args.sound, {"settings": "sound"})
    for folder in FOLDERS:
        outputs.text(getattr(args, folder), code_record(problem.sections, folder, lambda file: md5_of(Path(file))))


def _make_visible(path: Path) -> None:
    """Give a file a time stamp of another second than git's index has.

    ``dvc exp run`` writes settings, then the index, and leaves both when a stage fails. Where that took less than a
    second, git takes a file of the same size for unchanged, and neither shows nor restores it.
    """
    time.sleep(1.1)
    path.touch()


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("check", __doc__)
    parser.add_argument("--sound", type=Path, required=True, metavar="JSON", help="write that they can run here")
    for folder in FOLDERS:
        what = f"write here the files of {folder}/ that they name, with their hashes"
        parser.add_argument(f"--{folder}", type=Path, required=True, metavar="JSON", help=what)
    return run_stage("check", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
