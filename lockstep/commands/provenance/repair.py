"""``python -m lockstep repair``: puts the recorded bytes back where they are missing or altered, then verifies all.

A file is looked for, in this order, in the workspace, in DVC's cache, in the remotes that are set up; what comes from
there is hashed before it is used. What is nowhere is built anew by its stage. Raw data cannot be built: if it is
nowhere, nothing is touched.

Exit codes are those of 'python -m lockstep verify'.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.commands.provenance.verify import show_verification
from lockstep.kernel.locks import exclusive_command
from lockstep.provenance.repairing import repair
from lockstep.provenance.verifying import verify


def main(argv: Sequence[str] | None = None) -> int:
    """Repair, say what was done, and what is still not as recorded."""
    parser = command_parser("repair", __doc__)
    parser.add_argument(
        "--all", action="store_true", help="remove what is corrupt in DVC's cache of other commits as well"
    )
    args = parser.parse_args(argv)
    with exclusive_command("repair"):
        for line in repair(everything=args.all):
            print(line)
    return show_verification(verify(everything=args.all))
