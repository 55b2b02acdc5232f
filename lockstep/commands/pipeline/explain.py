"""``python -m lockstep explain [TARGET]``: which stages would run now, and because of what, in words.

TARGET is a stage of a problem (``train@PROBLEM``), a stage of all problems (``train``) or a problem; what it needs is
told too. ``python -m lockstep compare`` tells what changed between two revisions.

Files are hashed from their bytes, and nothing is run or written. Exit code 0, whatever it tells.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.kernel.lock_file import LOCK_FILE, read_lock
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.plan import in_words
from lockstep.repository.dvc import Repository


def main(argv: Sequence[str] | None = None) -> int:
    """Print the explanation."""
    parser = command_parser("explain", __doc__)
    parser.add_argument("target", nargs="?", metavar="TARGET", help="a stage or a problem; default: all stages")
    args = parser.parse_args(argv)
    recorded = read_lock() if LOCK_FILE.exists() else {}
    with Repository() as repo:
        lines = in_words(recorded, repo.current_stages(), args.target, CodeHistory(repo))
    print("\n".join(lines))
    return 0
