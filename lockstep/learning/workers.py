"""Where folds are computed: by threads of this process, or by the workers of a Dask cluster that the environment
variable LOCKSTEP_DASK names.

It is a variable, and no setting, since it changes no result: what is computed of a fold depends on the fold alone, and
results come back in the order of the folds. A cluster whose workers have other code, libraries or processors' choices
than this process is refused, and one that is lost ends the stage: nothing is computed here instead, unasked.
"""

import contextlib
import hashlib
import operator
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lockstep.kernel.environment import LIBRARIES, installed_version
from lockstep.kernel.errors import LockstepError, MachineError, some
from lockstep.kernel.log import logger
from lockstep.kernel.paths import OWN_CODE, ROOT
from lockstep.kernel.portable import shortcoming

import joblib

ADDRESS = "LOCKSTEP_DASK"
"""The variable that names a scheduler: tcp://host:8786; or tls://host:8786, certificates being those of Dask's
settings."""
CONNECT_SECONDS = 15
"""To wait for a scheduler, and for its first worker."""
HERE = "This computes on this machine: unset LOCKSTEP_DASK."
S = TypeVar("S")
F = TypeVar("F")
R = TypeVar("R")


class Workers(Protocol):
    """Who computes."""

    def share(self, value: S) -> S:
        """Bring a value to all workers, once; what is given back stands for it in ``each``."""
        ...

    def keep(self, function: Callable[[S, F], R], shared: S, items: Sequence[F]) -> list[R]:
        """Compute ``function(shared, item)`` of each item, and leave the results where they are: what is given back
        stands for them among the items of ``each``."""
        ...

    def each(
        self,
        function: Callable[[S, F], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        """Compute ``function(shared, item)`` of each item, in parallel, and give the results in the order of the items;
        or raise what the first of the items raised, not the first that came to raise.

        Args:
            function: of a module's top level, so that other processes can find it.
            arrived: called with each result, in the order of the items, as soon as it and those before it are there.
        """
        ...


@contextlib.contextmanager
def workers(most: int = -1) -> Iterator[Workers]:
    """Those of the cluster that LOCKSTEP_DASK names, or threads.

    Args:
        most: threads at most; -1: as many as there are processors. A cluster has its own.

    Raises:
        MachineError: Dask is not installed; no scheduler or worker answers; the workers are not as this process is; the
            cluster is lost while the block runs.
    """
    address = os.environ.get(ADDRESS, "").strip()
    if not address:
        yield Threads(most)
        return
    with _connected(address) as client:
        yield Cluster(client, address)


class Threads:
    """The threads of this process: scikit-learn's fits release Python's lock, nothing is copied, and no worker has to
    import scikit-learn again."""

    def __init__(self, most: int = -1) -> None:
        self._most = most

    def share(self, value: S) -> S:
        return value

    def keep(self, function: Callable[[S, F], R], shared: S, items: Sequence[F]) -> list[R]:
        return self.each(function, shared, items)

    def each(
        self,
        function: Callable[[S, F], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        jobs = (joblib.delayed(_outcome)(function, shared, item) for item in items)
        outcomes = joblib.Parallel(n_jobs=self._most, prefer="threads", return_as="generator")(jobs)
        return _results(outcomes, arrived)


class Cluster:
    """The workers of a Dask cluster."""

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._held: list[Any] = []  # what is kept is computed from: a worker that dies with it has it computed again

    def share(self, value: S) -> S:
        with self._named_loss():
            shared: S = self._sent([value])[0]
            return shared

    def keep(self, function: Callable[[S, F], R], shared: S, items: Sequence[F]) -> list[R]:
        with self._named_loss():
            kept, sent = self._submitted(function, shared, items)
            self._held.append(sent)
            for future in kept:
                if (error := future.exception()) is not None:
                    raise error
            return kept

    def each(
        self,
        function: Callable[[S, F], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        with self._named_loss():
            # What was sent is held until all is done: the cluster forgets what nobody holds, also what a task needs
            # again that a worker has died with.
            futures, sent = self._submitted(partial(_outcome, function), shared, items)
            results = _results((future.result() for future in futures), arrived)
            del sent
            return results

    def _submitted(self, function: Callable[[S, F], R], shared: S, items: Sequence[F]) -> tuple[list[Any], list[Any]]:
        """(what stands for ``function(shared, item)`` of each item, which the workers compute; what was sent for it)"""
        sent = self._sent([function, shared, *items])
        # A function of Python's own: the scheduler unpacks what it passes on, and need not know Lockstep.
        futures = [self._client.submit(operator.call, *sent[:2], item, pure=False) for item in sent[2:]]
        return futures, sent

    def _sent(self, values: Sequence[Any]) -> list[Any]:
        """What stands for the values on the workers; what ``share`` and ``keep`` gave, as it is.

        A value is a task of its own, whose packed bytes the scheduler keeps: so it can be made again where a worker has
        died with it, which what is scattered cannot. It is packed and unpacked by Dask, since the scheduler looks
        at what it passes on, and need not know Lockstep.
        """
        future, packing = import_module("distributed").Future, import_module("distributed.protocol.pickle")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a table is large
            return [
                value
                if isinstance(value, future)
                else self._client.submit(packing.loads, packing.dumps(value), pure=False)
                for value in values
            ]

    @contextlib.contextmanager
    def _named_loss(self) -> Iterator[None]:
        """Say that the cluster was lost, whatever its libraries call it."""
        try:
            yield
        except LockstepError:
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] not in ("distributed", "tornado", "concurrent", "asyncio"):
                raise
            raise MachineError(
                f"the cluster at {self._address} was lost: {_said(error)}. Nothing was written. Look at the logs of "
                f"its scheduler and workers (memory?), then run it again. {HERE}"
            ) from error


def _outcome(function: Callable[[S, F], R], shared: S, item: F) -> tuple[R, None] | tuple[None, Exception]:
    try:
        return function(shared, item), None
    except Exception as error:
        return None, error


def _results(outcomes: Iterable[tuple[Any, Exception | None]], arrived: Callable[[Any], object] | None) -> list[Any]:
    results, errors = [], []
    for result, error in outcomes:
        if error is not None:
            errors.append(error)
            continue
        results.append(result)
        if arrived is not None:
            arrived(result)
    if errors:
        raise errors[0]
    return results


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise MachineError(
            f"{ADDRESS} is set, and Dask is not installed ({error}). Type 'make scale', which installs it. {HERE}"
        ) from None
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="lockstep")
    except Exception as error:  # unknown protocols, hosts, certificates, versions: each library has its own
        raise MachineError(
            f"no scheduler answers at {address}, which {ADDRESS} names: {_said(error)}. Start one (docs/scale.md), or "
            f"correct the address. {HERE}"
        ) from None
    try:
        _check_workers(client, address)
        yield client
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot say goodbye
            client.close(timeout=5)


def _said(error: Exception) -> str:
    """What an error of another library's says, in a line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _check_workers(client: Any, address: str) -> None:
    """Raise MachineError unless there are workers, all of which are as this process is."""
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        found: dict[str, Any] = client.run(fingerprint, on_error="return")
    except Exception as error:
        raise MachineError(
            f"no worker of the cluster at {address} answers: {_said(error)}. Start some (docs/scale.md). {HERE}"
        ) from None
    own = fingerprint()
    for worker, other in sorted(found.items()):
        if not isinstance(other, Mapping):
            raise MachineError(
                f"the worker {worker} cannot load Lockstep ({other}). Start it in a clone of this repository with "
                f"'python -m lockstep worker {address}'. {HERE}"
            )
        differing = [name for name, value in own.items() if other.get(name) != value]
        if differing:
            how = some(f"{name} is {other.get(name)} there and {own[name]} here" for name in differing)
            raise MachineError(
                f"the worker {worker} is not as this machine is: {how}. Its results could be others. Give it the same "
                f"commit and 'make venv', and start it with 'python -m lockstep worker {address}'. {HERE}"
            )
    logger.info("folds are computed by %d workers of the cluster at %s", len(found), address)


def fingerprint() -> dict[str, str]:
    """What decides results of this process, in words: versions, code, and whether the processor's choices are
    pinned."""
    versions = {name: installed_version(name) or "not installed" for name in LIBRARIES}
    return {
        "Python": ".".join(map(str, sys.version_info[:3])),
        **versions,
        "the code": code_sha256()[:12],
        "the processor": shortcoming() or "pinned",
    }


def code_sha256(root: Path = ROOT, folders: Sequence[str] = ("lockstep", *OWN_CODE)) -> str:
    """The SHA-256 of the code in folders of ``root``, by default of all code that a fold may run."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()
