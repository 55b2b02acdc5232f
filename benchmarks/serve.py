"""Requests a second, and how long one takes, of ``python -m lockstep serve``, beside a plain FastAPI app and MLflow.

All serve the same model files on this machine, each in one process, and are asked by wrk (Debian's package ``wrk``),
in turns: one row a request, and 1,000; by one client, and by eight at once. First their answers are compared: the
predictions must be the same. A ratio of 1 or more means that Lockstep's is at least as quick; the aim is 0.8.

    python -m benchmarks.serve --seconds 5 --mlflow ~/mlflow/bin/python

``--mlflow`` names the Python of an environment of its own (benchmarks/peers/mlflow.txt); without it, MLflow is left
out.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import lockstep  # noqa: F401 - first: it pins the processor's choices before anything imports NumPy

# isort: split
from lockstep.commands import model_path
from lockstep.deployment.serving.predicting import make_scorer

import pandas as pd
import psutil

ROOT = Path(__file__).resolve().parent.parent
PROBLEMS = ("iris", "housing")
SIZES = (1, 1000)
CLIENTS = (1, 8)
PATIENCE = 120
"""Seconds for a server to begin."""
_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = io.open("{body}"):read("a")
function done(summary, latency)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Server(NamedTuple):
    """What is measured.

    Attributes:
        command: that serves, with ``{port}`` in it.
        environment: beside the usual one.
        path: that predicts.
        body: what it is sent, given the rows.
        predictions: in its answer.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    path: str
    body: Callable[[list[dict[str, Any]]], Any]
    predictions: Callable[[Any], list[Any]]


class Measured(NamedTuple):
    """A run of wrk: requests a second; milliseconds of half, and of 99 % of them; milliseconds of processor time of the
    server for each, which other work on the machine hardly changes."""

    rate: float
    p50: float
    p99: float
    processor: float


def servers(problem: str, model: Path, mlflow: Path | None, folder: Path) -> list[Server]:
    """Whatever serves the model of a problem."""
    python, plain = sys.executable, {"MODEL": str(model), "PYTHONPATH": str(ROOT)}
    uvicorn = [python, "-m", "uvicorn", "--app-dir", str(ROOT / "benchmarks"), "--log-level", "warning"]
    uvicorn += ["plain_serve:app", "--port", "{port}"]
    found = [
        Server(
            "`lockstep serve`",
            [python, "-m", "lockstep", "serve", problem, "--port", "{port}"],
            {},
            "/predict",
            lambda rows: rows,
            lambda said: [row["predicted"] for row in said["predictions"]],
        ),
        Server("plain app", uvicorn, plain, "/predict", lambda rows: rows, lambda said: said["predictions"]),
    ]
    if problem == "iris":
        found.append(found[1]._replace(name="plain app, with probabilities", path="/probabilities"))
    if mlflow is not None:
        saved = folder / f"mlflow-{problem}"
        save = "import joblib, mlflow, sys; mlflow.sklearn.save_model(joblib.load(sys.argv[1]), sys.argv[2], "
        save += "serialization_format='cloudpickle')"
        subprocess.run([mlflow, "-c", save, model, saved], check=True, capture_output=True, cwd=folder)
        bin_folder = mlflow.parent
        command = [str(bin_folder / "mlflow"), "models", "serve", "-m", str(saved), "--env-manager", "local"]
        command += ["--workers", "1", "--port", "{port}"]
        path = {"PATH": f"{bin_folder}:{os.environ['PATH']}"}
        found.append(
            Server(
                "`mlflow models serve`",
                command,
                path,
                "/invocations",
                lambda rows: {"dataframe_records": rows},
                lambda said: said["predictions"],
            )
        )
    return found


@contextlib.contextmanager
def running(server: Server, folder: Path) -> Iterator[tuple[str, int]]:
    """The address of a server that answers, and its process, until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [word.format(port=port) for word in server.command]
    with (folder / f"{port}.log").open("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, env={**os.environ, **server.environment}, start_new_session=True
        )
        try:
            for _ in range(PATIENCE * 10):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                if process.poll() is not None:
                    break
                time.sleep(0.1)
            else:
                process.kill()
            if process.poll() is not None:
                raise SystemExit(f"{server.name} does not serve: {(folder / f'{port}.log').read_text()[-2000:]}")
            yield f"http://127.0.0.1:{port}{server.path}", process.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)  # mlflow's workers are processes of their own
            process.wait()


def asked(address: str, body: bytes) -> Any:
    """The answer to a request, as JSON."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def processor_seconds(process: int) -> float:
    """The processor time that a process and those that it began have taken so far."""
    parent = psutil.Process(process)
    return sum(sum(one.cpu_times()[:2]) for one in (parent, *parent.children(recursive=True)))


def measured(address: str, process: int, body: Path, clients: int, seconds: float, folder: Path) -> Measured:
    """Ask a server for some seconds, by so many clients at once."""
    script = folder / "post.lua"
    script.write_text(_SCRIPT.format(body=body))
    command = [
        "wrk",
        "--threads",
        "1",
        "--connections",
        str(clients),
        "--duration",
        f"{seconds:g}s",
        "--timeout",
        "30s",
    ]
    before = processor_seconds(process)
    done = subprocess.run([*command, "--script", script, address], check=True, capture_output=True, text=True)
    taken = processor_seconds(process) - before
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert found is not None, done.stdout
    requests, microseconds, failed, p50, p99 = map(int, found.groups())
    if failed:
        raise SystemExit(f"{address}: {failed} of {requests} requests failed. {done.stdout}")
    return Measured(requests / microseconds * 1e6, p50 / 1000, p99 / 1000, taken / requests * 1000)


def rows_of(problem: str, model: Path, n_rows: int) -> list[dict[str, Any]]:
    """The first rows of the problem's table, as JSON has them; again from the first, where it has too few."""
    types = make_scorer(model, problem).types
    table = pd.read_csv(
        ROOT / f"data/raw/{problem}.csv", nrows=n_rows, dtype={n: str for n in types if types[n] == "string"}
    )
    rows = json.loads(table[list(types)].to_json(orient="records", double_precision=15))
    return (rows * (n_rows // len(rows) + 1))[:n_rows]


def measure(problem: str, mlflow: Path | None, seconds: float, rounds: int, folder: Path) -> None:
    """Print the table of a problem."""
    model = ROOT / model_path(problem)
    found: dict[tuple[int, str, int], list[Measured]] = defaultdict(list)
    asking = servers(problem, model, mlflow, folder)
    with contextlib.ExitStack() as stack:
        there = {server.name: stack.enter_context(running(server, folder)) for server in asking}
        for n_rows in SIZES:
            rows = rows_of(problem, model, n_rows)
            bodies = {server.name: folder / f"body-{place}.json" for place, server in enumerate(asking)}
            said = []
            for server in asking:
                bodies[server.name].write_text(json.dumps(server.body(rows)))
                said.append(server.predictions(asked(there[server.name][0], bodies[server.name].read_bytes())))
            if any(one != said[0] for one in said):
                raise SystemExit(f"{problem}, {n_rows} rows: the servers do not predict the same.")
            for _ in range(rounds):
                for clients in CLIENTS:
                    for name, (address, process) in there.items():
                        one = measured(address, process, bodies[name], clients, seconds, folder)
                        found[n_rows, name, clients].append(one)
                        print(problem, n_rows, name, clients, one, file=sys.stderr)
    for n_rows in SIZES:
        for server in asking:
            cells = []
            for clients in CLIENTS:
                ours, own = (
                    [median(values) for values in zip(*found[n_rows, name, clients], strict=True)]
                    for name in ("`lockstep serve`", server.name)
                )
                ratios = (f" ({ours[0] / own[0]:.2f})", f" ({own[3] / ours[3]:.2f})")
                rate, processor = ("", "") if server.name == "`lockstep serve`" else ratios
                cells += [f"{own[0]:,.1f}{rate}", f"{own[1]:,.1f} / {own[2]:,.1f}", f"{own[3]:,.1f}{processor}"]
            print(f"| {problem} | {n_rows:,} | {server.name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3, help="of each measurement; the median is printed")
    parser.add_argument("--mlflow", type=Path, help="the Python of an environment with MLflow")
    args = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    columns = ("a second", "p50 / p99 ms", "processor ms")
    titles = [f"{clients} client{'s'[: clients > 1]}: {what}" for clients in CLIENTS for what in columns]
    print(f"| model | rows | served by | {' | '.join(titles)} |")
    print("|---|---|---|" + "---|" * len(titles))
    with tempfile.TemporaryDirectory() as folder:
        for problem in PROBLEMS:
            measure(problem, args.mlflow, args.seconds, args.rounds, Path(folder))


if __name__ == "__main__":
    main()
