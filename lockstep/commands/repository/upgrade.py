"""``python -m lockstep upgrade ADDRESS``: bring a later version of Lockstep into a repository that 'new' made.

The version becomes a commit of the branch 'lockstep', for you to look at and to merge. Settings, data, features, own
estimators and scorers, metrics, dvc.lock and tests are yours: no version touches them. Nothing of yours is changed.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.kernel.errors import plural
from lockstep.kernel.locks import exclusive_command
from lockstep.template.vendoring import BRANCH, bring


def main(argv: Sequence[str] | None = None) -> int:
    """Write the branch, and say how to merge it. Raises LockstepError; then nothing was changed."""
    parser = command_parser("upgrade", __doc__)
    parser.add_argument("source", metavar="ADDRESS", help="the path or the address of Lockstep's repository")
    parser.add_argument("--revision", default="HEAD", help="a branch, tag or commit of it (default: its main branch)")
    args = parser.parse_args(argv)
    with exclusive_command("upgrade"):
        brought = bring(args.source, args.revision)
    if brought is None:
        print("This repository has that version of Lockstep already.")
        return 0
    differ, them = ("differs", "it") if brought.n_changed == 1 else ("differ", "them")
    print(
        f"Lockstep {brought.before[:10]} -> {brought.after[:10]}: {plural(brought.n_changed, 'file')} {differ}; the "
        f"branch '{BRANCH}' has {them}."
    )
    print(f"Look:  git diff HEAD...{BRANCH}")
    print(f"Next:  git merge {BRANCH} && make repro")
    print(f"Undo:  git branch -D {BRANCH}")
    return 0
