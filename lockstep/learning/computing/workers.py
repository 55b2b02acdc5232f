"""Where folds are computed: by threads of this process, or by the workers of a Dask cluster that the environment
variable LOCKSTEP_DASK names.

It is a variable, and no setting, since it changes no result: what is computed of a fold depends on the fold alone, and
results come back in the order of the folds. A cluster whose workers have other code, libraries or processors' choices
than this process is refused, and one that is lost ends the stage: nothing is computed here instead, unasked.

A worker that joins later was never looked at. So each tells the scheduler what it has loaded, as the name of a resource
(``ability``), and tasks ask for the one of this process: the scheduler gives them to no other, whoever joins.
"""

import asyncio
import contextlib
import math
import operator
import os
import queue
import socket
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from typing import Any, Protocol, TypeVar

from lockstep.kernel.errors import LockstepError, MachineError, some
from lockstep.kernel.log import logger
from lockstep.learning.computing.fingerprints import (
    DISK,
    LIBRARIES,
    OWN,
    SAME,
    ability,
    fingerprint,
    installed,
    loaded,
    own_code_sha256,
)

import joblib

ADDRESS = "LOCKSTEP_DASK"
"""The variable that names a scheduler: tcp://host:8786; or tls://host:8786, certificates being those of Dask's
settings."""
CONNECT_SECONDS = 15
"""To wait for a scheduler, for its first worker, and for the answer of any."""
ALONE_SECONDS = 60
"""To wait, in the middle of the work, for a worker to take the place of the last one."""
POLL_SECONDS = 5.0
"""Where no task ends, whether there are workers is looked at so often."""
HERE = "This computes on this machine: unset LOCKSTEP_DASK."
S = TypeVar("S")
F = TypeVar("F")
R = TypeVar("R")


class Workers(Protocol):
    """Who computes."""

    def share(self, value: S) -> S:
        """Bring a value to all workers, once; what is given back stands for it in ``each``."""
        ...

    def keep(self, function: Callable[[S, F, int], R], shared: S, items: Sequence[F]) -> list[R]:
        """Compute ``function`` of each item, as ``each`` does, and leave the results where they are: what is given back
        stands for them among the items of ``each``."""
        ...

    def each(
        self,
        function: Callable[[S, F, int], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        """Compute ``function(shared, item, n_jobs)`` of each item, in parallel, and give the results in the order of
        the items; or raise what the first of the items raised, not the first that came to raise.

        Args:
            function: of a module's top level, so that other processes can find it. ``n_jobs``: the processors that the
                item may use.
            arrived: called with each result as soon as it is there, in whichever order they come.
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
        yield Cluster(client, address, fingerprint()[OWN])


class Threads:
    """The threads of this process: scikit-learn's fits release Python's lock, nothing is copied, and no worker has to
    import scikit-learn again."""

    def __init__(self, most: int = -1) -> None:
        self._most = most

    def share(self, value: S) -> S:
        return value

    def keep(self, function: Callable[[S, F, int], R], shared: S, items: Sequence[F]) -> list[R]:
        return self.each(function, shared, items)

    def each(
        self,
        function: Callable[[S, F, int], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        processors = joblib.cpu_count()
        at_once = max(1, min(processors if self._most == -1 else self._most, len(items)))
        shares = processors_of_each(len(items), at_once, processors)
        numbered = zip(range(len(items)), items, shares, strict=True)
        jobs = (joblib.delayed(_numbered)(function, shared, *one) for one in numbered)
        outcomes = joblib.Parallel(n_jobs=at_once, prefer="threads", return_as="generator_unordered")(jobs)
        return _results(outcomes, arrived)


def processors_of_each(n_items: int, at_once: int, processors: int) -> list[int]:
    """(n_items,) how many processors each item may use, of which ``at_once`` are computed at a time: those together at
    least as many as there are, also of the last ones, which are fewer."""
    last = n_items % at_once
    return [math.ceil(processors / at_once)] * (n_items - last) + [math.ceil(processors / max(last, 1))] * last


class Cluster:
    """The workers of a Dask cluster.

    Args:
        client: of its scheduler.
        address: the scheduler's.
        own_code: the hash of the user's own code that workers must have whenever they compute.
    """

    def __init__(self, client: Any, address: str, own_code: str) -> None:
        self._client, self._address, self._own_code = client, address, own_code
        self._held: list[Any] = []  # what is kept is computed from: a worker that dies with it has it computed again
        self._alone_since: float | None = None
        self._unfit: set[str] = set()

    def share(self, value: S) -> S:
        with self._named_loss():
            shared: S = self._sent([value])[0]
            return shared

    def keep(self, function: Callable[[S, F, int], R], shared: S, items: Sequence[F]) -> list[R]:
        with self._named_loss():
            kept, sent = self._submitted(partial(_guarded, function, self._own_code), shared, items)
            self._held.append(sent)
            for _ in self._finished(kept):
                pass
            for future in kept:
                if (error := future.exception()) is not None:
                    raise error
            return kept

    def each(
        self,
        function: Callable[[S, F, int], R],
        shared: S,
        items: Sequence[F],
        arrived: Callable[[R], object] | None = None,
    ) -> list[R]:
        with self._named_loss():
            # What was sent is held until all is done: the cluster forgets what nobody holds, also what a task needs
            # again that a worker has died with.
            guarded = partial(_guarded, function, self._own_code)
            futures, sent = self._submitted(partial(_outcome, guarded), shared, items)
            results = _results(((number, futures[number].result()) for number in self._finished(futures)), arrived)
            del sent
            return results

    def _finished(self, futures: Sequence[Any]) -> Iterator[int]:
        """The numbers of the futures, each as soon as it is done. Raises MachineError if there is nobody to do them."""
        done: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number, future in enumerate(futures):
            future.add_done_callback(lambda _, number=number: done.put(number))
        for _ in futures:
            while True:
                try:
                    number = done.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    self._look_for_workers()
                else:
                    self._alone_since = None  # somebody has done it
                    yield number
                    break

    def _look_for_workers(self) -> None:
        """Warn where no worker is left, and of those that have come and are not used; raise MachineError where none
        has been left for ALONE_SECONDS."""
        there, why = {}, "has had no worker that is as this machine is"
        try:
            there = _registered(self._client)
        except Exception as error:  # of a scheduler that is lost the futures end, too; not of one that is silent
            why = f"does not answer ({_said(error)})"
        able = [worker for worker, about in there.items() if ability() in about["resources"]]
        for worker in sorted(there.keys() - set(able) - self._unfit):
            self._unfit.add(worker)
            logger.warning(
                "the worker %s has come, and is given nothing: it is not as this machine is, or was not started by "
                "'python -m lockstep worker %s'", worker, self._address
            )  # fmt: skip
        if able:
            if self._alone_since is not None:
                logger.info("there are workers again: %d", len(able))
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since = time.monotonic()
            logger.warning(
                "no worker of the cluster at %s is left: waiting %d s for one. Start it with 'python -m lockstep "
                "worker %s'", self._address, ALONE_SECONDS, self._address
            )  # fmt: skip
        elif time.monotonic() - self._alone_since >= ALONE_SECONDS:
            raise MachineError(
                f"the cluster at {self._address} {why}, for {ALONE_SECONDS} seconds. Nothing was written. Look at the "
                "logs of its scheduler and workers (memory?), start workers with 'python -m lockstep worker "
                f"{self._address}', then run it again. {HERE}"
            )

    def _submitted(self, function: Callable[[S, F], R], shared: S, items: Sequence[F]) -> tuple[list[Any], list[Any]]:
        """(what stands for ``function(shared, item)`` of each item, which the workers compute; what was sent for it)"""
        sent = self._sent([function, shared, *items])
        # A function of Python's own: the scheduler unpacks what it passes on, and need not know Lockstep.
        futures = [self._submit(operator.call, *sent[:2], item) for item in sent[2:]]
        return futures, sent

    def _submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """What stands for ``function(*given)``, which only a worker computes that has loaded what this process has."""
        return self._client.submit(function, *given, pure=False, resources={ability(): 1})

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
                value if isinstance(value, future) else self._submit(packing.loads, packing.dumps(value))
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


def _numbered(
    function: Callable[[S, F, int], R], shared: S, number: int, item: F, n_jobs: int
) -> tuple[int, tuple[R, None] | tuple[None, Exception]]:
    return number, _outcome(lambda given, one: function(given, one, n_jobs), shared, item)


def _guarded(function: Callable[[S, F, int], R], own_code: str, shared: S, item: F) -> R:
    """``function`` of an item, with one processor, on a worker whose user's own code, which is read when it is used, is
    the one of the hash."""
    if own_code_sha256()[: len(own_code)] != own_code:
        raise MachineError(
            f"code of your own (estimators/, features/ or scorers/) changed on the worker {socket.gethostname()} since "
            "it was asked, or here. Nothing was written. Give all machines the same commit, then run it again."
        )
    return function(shared, item, 1)


def _results(
    outcomes: Iterable[tuple[int, tuple[Any, Exception | None]]], arrived: Callable[[Any], object] | None
) -> list[Any]:
    """The results in the order of their numbers, or the error of the lowest number."""
    results, errors = {}, {}
    for number, (result, error) in outcomes:
        if error is not None:
            errors[number] = error
            continue
        results[number] = result
        if arrived is not None:
            arrived(result)
    if errors:
        raise errors[min(errors)]
    return [results[number] for number in sorted(results)]


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise MachineError(
            f"{ADDRESS} is set, and Dask is not installed ({error}). Type 'make scale', which installs it. {HERE}"
        ) from None
    try:
        security = distributed.Security()
        with ThreadPoolExecutor(1) as thread:  # a notebook's own thread has a loop already
            found = thread.submit(asyncio.run, _identity(address, security.get_connection_args("client"))).result()
        if found.get("type") != "Scheduler":
            raise ValueError("what answers there is none (a worker?)")
        client = distributed.Client(
            address, timeout=CONNECT_SECONDS, set_as_default=False, name="lockstep", security=security
        )
    except Exception as error:  # unknown protocols, hosts, certificates, versions: each library has its own
        raise MachineError(
            f"no scheduler answers at {address}, which {ADDRESS} names: {_said(error)}. Start one (docs/scale.md), or "
            f"correct the address, which is of the form tcp://10.0.0.1:8786. {HERE}"
        ) from None
    try:
        _check_workers(client, address)
        yield client
    finally:
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot say goodbye
            client.close(timeout=5)


async def _identity(address: str, arguments: Mapping[str, Any]) -> Any:
    """What listens at the address says about itself within CONNECT_SECONDS.

    It is asked before there is a client: a client of a wrong address takes half a minute to be gone, and one waits for
    ever where something accepts and is silent.
    """
    comm = import_module("distributed.comm")
    comm.get_address_host_port(address, strict=True)
    if address.startswith("tls://") and arguments["ssl_context"] is None:
        raise ValueError("it needs TLS certificates, such as DASK_DISTRIBUTED__COMM__TLS__CA_FILE names")

    async def asked() -> Any:
        connection = await comm.connect(address, timeout=CONNECT_SECONDS, **arguments)
        try:
            await connection.write({"op": "identity", "n_workers": 0, "reply": True})
            return await connection.read()
        finally:
            connection.abort()

    try:
        return await asyncio.wait_for(asked(), CONNECT_SECONDS + 1)  # connecting has a message of its own
    except TimeoutError as error:
        raise TimeoutError(_said(error) if str(error) else f"no answer within {CONNECT_SECONDS} s") from None


def _said(error: Exception) -> str:
    """What an error of another library's says, in a line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _registered(client: Any) -> dict[str, Any]:
    """{address of a worker: what it has told the scheduler about itself}."""
    identity = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=CONNECT_SECONDS)
    workers: dict[str, Any] = identity["workers"]
    return workers


def _asked(client: Any, function: Callable[[], R], addresses: Sequence[str]) -> dict[str, R | BaseException]:
    """{address of a worker: what ``function`` gives there, or why there is nothing}; each within CONNECT_SECONDS."""

    async def one(address: str) -> Any:
        try:
            asked = client.run(function, workers=[address], on_error="return", asynchronous=True)
            return (await asyncio.wait_for(asked, CONNECT_SECONDS))[address]
        except TimeoutError:
            return TimeoutError(f"no answer within {CONNECT_SECONDS} s")
        except Exception as error:
            return error

    async def everyone() -> list[Any]:
        return await asyncio.gather(*map(one, addresses))

    return dict(zip(addresses, client.sync(everyone), strict=True))


def _check_workers(client: Any, address: str) -> None:
    """Raise MachineError unless there are workers, all of which are as this process is."""
    own, start = fingerprint(), f"python -m lockstep worker {address}"
    if own[DISK] != SAME:
        raise MachineError(
            "the code or a library changed on the disk since this process was started, so that what it has loaded "
            "cannot be compared with what workers have. Start it again (of a notebook, its kernel)."
        )
    try:
        deadline = time.monotonic() + CONNECT_SECONDS
        while not (there := _registered(client)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"none has come within {CONNECT_SECONDS} s")
            time.sleep(0.1)
        answers = _asked(client, fingerprint, sorted(there))
        there = _registered(client)  # without those that have gone meanwhile
    except Exception as error:
        raise MachineError(
            f"no worker of the cluster at {address} answers: {_said(error)}. Start some (docs/scale.md). {HERE}"
        ) from None
    for worker in sorted(answers.keys() & there.keys()):
        other = answers[worker]
        if isinstance(other, TimeoutError):
            raise MachineError(
                f"the worker {worker} does not answer: {_said(other)}. End it, or start it again with '{start}'. {HERE}"
            )
        if not isinstance(other, Mapping):
            raise MachineError(
                f"the worker {worker} cannot load Lockstep ({other}). Start it in a clone of this repository at the "
                f"same commit with '{start}'. {HERE}"
            )
        if other.get(DISK) != SAME:
            raise MachineError(
                f"the code or a library changed on the disk of the worker {worker} since it was started (by 'git "
                f"pull'?), and it computes with the former. Restart the workers: '{start}'. {HERE}"
            )
        differing = [name for name, value in own.items() if other.get(name) != value]
        if differing:
            how = some(f"{name} is {other.get(name)} there and {own[name]} here" for name in differing)
            if LIBRARIES in differing:
                how += f" ({_differing_libraries(_asked(client, installed, [worker])[worker])})"
            raise MachineError(
                f"the worker {worker} is not as this machine is: {how}. Its results could be others. Give it the same "
                f"commit and the same 'make venv' and 'make scale' (and whatever else is installed here), and start it "
                f"with '{start}'. {HERE}"
            )
        if ability() not in there[worker]["resources"]:
            raise MachineError(
                f"the worker {worker} cannot say what it has loaded, since it was not started by Lockstep. Start it "
                f"with '{start}'. {HERE}"
            )
    if not there:
        raise MachineError(f"no worker of the cluster at {address} is left. Start some (docs/scale.md). {HERE}")
    logger.info("folds are computed by %d workers of the cluster at %s", len(there), address)


def _differing_libraries(others: Any) -> str:
    """In which libraries a worker differs from this process, the first by name."""
    if not isinstance(others, Mapping):
        return f"which it cannot name: {others}"
    own, missing = installed(), "not installed"
    names = sorted(name for name in own.keys() | others.keys() if own.get(name) != others.get(name))
    return some(f"{name} is {others.get(name, missing)} there and {own.get(name, missing)} here" for name in names)


if os.environ.get(ADDRESS):
    loaded()  # at once, before the files on the disk can become others
