"""The process that listens: a socket, connections with a time limit, a stop that ends what it began."""

import gc
import ipaddress
import signal
import socket
from collections.abc import Callable
from typing import Any

from lockstep.deployment.serving.app import Service, make_app
from lockstep.kernel.errors import MachineError, SettingsError

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

KEY = "LOCKSTEP_API_KEY"
"""The environment variable with the API key."""
SHORTEST_KEY = 16
CONNECTIONS = 200
"""At once; further ones are answered 503."""


def check_host(host: str, key: str | None) -> None:
    """Raise SettingsError if other machines could ask and need not show a key, or if the key is too short."""
    if key is not None and len(key) < SHORTEST_KEY:
        raise SettingsError(
            f"{KEY} has {len(key)} characters, at least {SHORTEST_KEY} are demanded: it could be guessed. 'python -c "
            '"import secrets; print(secrets.token_urlsafe())"\' makes one.'
        )
    if key is None and not _is_loopback(host):
        raise SettingsError(
            f"--host {host} lets other machines ask, and {KEY} is not set: whoever reaches the port could use the "
            f"model. Set {KEY} to a secret of {SHORTEST_KEY} characters or more, or leave --host out (127.0.0.1)."
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(service: Service, host: str, port: int, started: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT; requests that are under way are finished, for as long as a request may take.

    Args:
        service: what answers.
        host, port: where to listen; port 0 takes a free one.
        started: is given the address once connections are taken.

    Raises:
        MachineError: the address cannot be listened on.
    """
    seconds = service.limits.seconds

    class Impatient(H11Protocol):  # type: ignore[misc]
        """Closes a connection on which no request arrives whole: uvicorn itself would wait for ever."""

        _seen: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(seconds, self._look)

        def _look(self) -> None:
            if self.transport.is_closing():
                self.transport.abort()  # what its client does not take is given up; nothing where it is closed
                return
            is_at_work = self.cycle is not None and not self.cycle.response_complete
            if not is_at_work and self.cycle is self._seen:
                self.transport.close()
                return
            self._seen = self.cycle
            self.loop.call_later(seconds, self._look)

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise MachineError(f"{host}:{port} cannot be listened on ({error}). Give another: --port 8001.") from None
    # Connections inherit it; asyncio sets it itself, but not for a socket that was made like this one. Without it, an
    # answer waits for the client to acknowledge its headers: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        make_app(service),
        http=Impatient,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=int(seconds) + 1,
    )
    # uvicorn stops at these, then raises them anew: here they are obeyed by then.
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    # What is there now stays: looking through it for garbage takes a tenth of a second, every few hundred rows.
    gc.collect()
    gc.freeze()
    try:
        with listener:
            shown = f"[{host}]" if family == socket.AF_INET6 else host
            started(f"http://{shown}:{listener.getsockname()[1]}")
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        gc.unfreeze()
