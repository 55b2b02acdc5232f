"""``python -m lockstep new ../churn-model``: begin a repository of your own.

It gets Lockstep's pipeline as of the last commit here, its documents and settings, in one commit; not the problems that
come with Lockstep, nor its tests, benchmarks, history and remotes (docs/upgrading.md says why).
"""

import shlex
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.paths import ROOT
from lockstep.repository import git
from lockstep.template.vendoring import make


def main(argv: Sequence[str] | None = None) -> int:
    """Make it, and say what to type next. Raises LockstepError; then nothing was made."""
    parser = command_parser("new", __doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the repository's folder, which is not there yet")
    args = parser.parse_args(argv)
    version = make(args.folder)
    print(f"Made {args.folder}: a repository of your own, one commit, from Lockstep {version.commit[:10]}.")
    if git.run("diff", "--quiet", "HEAD", root=ROOT).returncode:
        print("What you changed here and did not commit is not in it.")
    print(f"Next:  cd {shlex.quote(str(args.folder))}")
    print("       make repro                              installs the libraries into .venv; there is no problem yet")
    print("       source .venv/bin/activate")
    print("       python -m lockstep add FILE             a table of yours becomes the first one")
    print("Later: python -m lockstep upgrade ADDRESS      brings a newer Lockstep (docs/upgrading.md)")
    return 0
