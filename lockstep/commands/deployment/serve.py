"""``python -m lockstep serve MODEL``: answer requests for predictions over HTTP, as ``predict`` answers files.

The model is opened once, after its bytes agree with what is recorded. It listens on this machine alone, unless an API
key is in the environment (LOCKSTEP_API_KEY). /docs says what a row may hold; docs/serving.md says the rest.
"""

import logging
import os
import sys
from collections.abc import Sequence

from lockstep.commands import add_model, command_parser, given_model
from lockstep.kernel.errors import MachineError, SettingsError
from lockstep.kernel.log import logger

NEEDED = ("fastapi", "starlette", "uvicorn", "prometheus_client", "anyio")


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until it is stopped. Raises LockstepError before it listens."""
    parser = command_parser("serve", __doc__)
    add_model(parser, staged=True)
    parser.add_argument("--problem", metavar="NAME", help="the problem in params.yaml (default: the model's folder)")
    parser.add_argument("--sha256", metavar="HEX", help="the model's SHA-256, if nothing here records the file")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--max-bytes", type=int, default=32 << 20, metavar="N", help="of a body (default: %(default)s)")
    parser.add_argument("--max-rows", type=int, default=100_000, metavar="N", help="at once (default: %(default)s)")
    parser.add_argument(
        "--max-seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="for a request to arrive, and for an answer to be taken (default: %(default)s)",
    )
    parser.add_argument("--log-values", action="store_true", help="let the log show values of rows that are refused")
    args = parser.parse_args(argv)
    for flag in ("max_bytes", "max_rows", "max_seconds"):
        if not 0 < getattr(args, flag) < float("inf"):
            raise SettingsError(f"--{flag.replace('_', '-')} is {getattr(args, flag)}. It must be above 0.")
    if not 0 <= args.port <= 65535:
        raise SettingsError(f"--port is {args.port}. It must be between 0 and 65535.")
    try:
        from lockstep.deployment.serving.app import Service
        from lockstep.deployment.serving.server import KEY, check_host, serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in NEEDED:
            raise
        raise MachineError(f"{error.name} is not installed. Type 'make serve', which installs it.") from None
    from lockstep.deployment.serving.identity import open_model
    from lockstep.deployment.serving.service import Limits

    key = os.environ.get(KEY) or None
    check_host(args.host, key)
    with given_model(args.model, args.problem) as given:
        scorer, identity = open_model(given.path, given.problem, args.sha256, given.staged)
        title = "" if given.staged is None else f"{given.staged.title}: "
    limits = Limits(args.max_bytes, args.max_rows, args.max_seconds)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    before = logger.level
    logger.setLevel(logging.INFO)

    def started(address: str) -> None:
        print(f"{title}{identity.file} (SHA-256 {identity.sha256}) answers at {address}", flush=True)
        print(f"What a row may hold: {address}/docs. Stop it with Ctrl-C or SIGTERM.", flush=True)

    try:
        serve(Service(scorer, identity, limits, key, logs_values=args.log_values), args.host, args.port, started)
    finally:
        logger.setLevel(before)
    print("stopped", flush=True)
    return 0
