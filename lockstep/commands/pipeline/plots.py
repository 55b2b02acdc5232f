"""``python -m lockstep plots [REV ...]``: the plots that dvc.yaml declares on one page, reports/plots.html, which needs
no network.

The same plots as ``dvc plots show`` and, of several revisions, ``dvc plots diff`` draw, by problem: how good the model
is first; pictures in which nothing would stand are left out.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.commands.pipeline.index import PLOTS, open_page
from lockstep.kernel.errors import MachineError
from lockstep.kernel.files import Outputs
from lockstep.repository.dvc_process import run_dvc


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and say where it is. Raises LockstepError."""
    parser = command_parser("plots", __doc__)
    parser.add_argument(
        "revisions", nargs="*", metavar="REV", help="commits, branches, tags or experiments; default: the workspace"
    )
    parser.add_argument("-o", "--out", type=Path, default=PLOTS, metavar="FILE", help="default: %(default)s")
    parser.add_argument("--open", action="store_true", help="open it in the browser, where there is a display")
    args = parser.parse_args(argv)
    _check_revisions(args.revisions)
    command = ["plots", "diff", *args.revisions] if args.revisions else ["plots", "show"]
    done = run_dvc([*command, "--json"])
    filled = next((line for line in done.lines if line.startswith("{")), None)
    if filled is None or done.code:
        raise MachineError(f"'dvc {' '.join(command)}' failed: {done.reason}.")
    from lockstep.comparing.plots import page_of  # draws with what takes a second to import

    with Outputs() as outputs:
        outputs.text(args.out, page_of(json.loads(filled)))
    print(args.out)
    if args.open:
        open_page(args.out)
    return 0


def _check_revisions(names: Sequence[str]) -> None:
    """Raise SettingsError where one of them is none."""
    if names:
        from lockstep.repository.revisions import opened_repository, read_revision

        with opened_repository() as repo:
            for name in names:
                read_revision(repo, name)
