"""``python -m lockstep release sign TAG --key KEY`` and ``release verify TAG --allowed-signers FILE``.

``sign`` makes a git tag of the current commit, signed with an ssh key, whose message lists the SHA-256 of every table,
model and metric that dvc.lock and the .dvc files record. ``verify`` checks such a tag, and all that is here against it.
docs/security.md says what an allowed-signers file is.
"""

from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.provenance.signing import sign_release, verify_release


def main(argv: Sequence[str] | None = None) -> int:
    """Sign or verify. Raises LockstepError."""
    parser = command_parser("release", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    signing = commands.add_parser("sign", help="tag the current commit")
    verifying = commands.add_parser("verify", help="check a tag, and all that is here against it")
    for command in (signing, verifying):
        command.add_argument("tag", help="its name, such as v1.0")
        command.add_argument(
            "--repository", type=Path, default=Path(), metavar="FOLDER", help="another clone (default: this one)"
        )
    signing.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="your ssh key, such as ~/.ssh/id_ed25519"
    )
    verifying.add_argument("--allowed-signers", type=Path, required=True, metavar="FILE", help="whose signatures count")
    args = parser.parse_args(argv)
    if args.command == "sign":
        print(sign_release(args.tag, args.key, args.repository))
    else:
        print(verify_release(args.tag, args.allowed_signers, args.repository))
    return 0
