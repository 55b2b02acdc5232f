"""python -m lockstep serve: real processes on loopback, asked by real clients."""

import concurrent.futures
import http.client
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from html.parser import HTMLParser

from lockstep.__main__ import main

import jsonschema
import pandas as pd
import pytest
from servers import free_port, need_library
from small import problem_with_model
from workspace import ROOT

KEY = "a key of sixteen characters and more"
NEW = "column 'text': not in the list of categories: 'new'"
ROW = {"number": 0.5, "text": "low", "flag": True}


class Service:
    """A process that serves the model of the problem p in ``folder``."""

    def __init__(self, folder, *flags, port=None, **environment):
        for library in ("fastapi", "uvicorn", "prometheus_client"):
            need_library(library, "serve")
        self.folder, self.port = folder, port or free_port()
        (self.model,) = (folder / "models/p").glob("*.joblib")
        self.log = folder / f"{self.port}.log"
        command = [sys.executable, "-m", "lockstep", "serve", str(self.model), "--port", str(self.port), *flags]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("LOCKSTEP_")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env={**variables, "PYTHONPATH": str(ROOT), **environment}, stdout=log, stderr=log
            )
        for _ in range(600):
            if "answers at" in self.log.read_text() or self.process.poll() is not None:
                break
            time.sleep(0.1)
        assert f"answers at http://127.0.0.1:{self.port}\n" in self.log.read_text(), self.log.read_text()

    def ask(self, method, path, body=None, **headers):
        """(status, headers, body) of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {name.replace("_", "-"): word for name, word in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def predict(self, rows, path="/predict", **headers):
        """(status, the JSON of the answer) to rows in JSON."""
        text = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
        status, _, body = self.ask("POST", path, text, **({"Content_Type": "application/json"} | headers))
        return status, json.loads(body)

    def counts(self, **headers):
        """{name with labels: count} of /metrics"""
        lines = self.ask("GET", "/metrics", **headers)[2].decode().splitlines()
        return {name: float(count) for name, count in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def stop(self, number=signal.SIGTERM):
        """Its exit code, and what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60), self.log.read_text()


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A service of a model with a threshold and prediction sets, with narrow limits."""
    folder = tmp_path_factory.mktemp("classes")
    with pytest.MonkeyPatch.context() as monkeypatch:
        problem_with_model(folder, monkeypatch, "classification", threshold="f1_score")
    service = Service(folder, "--max-bytes", "40000", "--max-rows", "400", "--max-seconds", "2")
    yield service
    service.stop()


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A service of numbers with intervals that asks for a key."""
    folder = tmp_path_factory.mktemp("numbers")
    with pytest.MonkeyPatch.context() as monkeypatch:
        problem_with_model(folder, monkeypatch, "regression")
    service = Service(folder, "--log-values", LOCKSTEP_API_KEY=KEY)
    yield service
    service.stop()


def predicted(service, monkeypatch):
    """What ``predict`` writes of data.csv, as bytes and as a table."""
    monkeypatch.chdir(service.folder)
    assert main(["predict", str(service.model), "data.csv", "-o", "out.csv"]) == 0
    text = (service.folder / "out.csv").read_bytes()
    return text, pd.read_csv(io.BytesIO(text))


def rows_of(service):
    """data.csv without its target, in JSON."""
    frame = pd.read_csv(service.folder / "data.csv").drop(columns=["y", "constant"])
    return json.loads(frame.to_json(orient="records", double_precision=15))


@pytest.mark.parametrize("which", ["classes", "numbers"])
def test_the_predictions_are_those_of_predict_to_the_bit(request, monkeypatch, which):
    service = request.getfixturevalue(which)
    text, table = predicted(service, monkeypatch)
    given = (service.folder / "data.csv").read_bytes()
    headers = {"Content_Type": "text/csv", "X_API_Key": KEY}
    assert service.ask("POST", "/predict", given, **headers, Accept="text/csv")[2] == text
    status, _, body = service.ask("POST", "/predict", given, **headers)
    of_csv = json.loads(body)
    # The same digits as in the file.
    lines = [
        dict(zip(["number", "text", "flag"], line.split(","), strict=False)) for line in given.decode().split()[1:]
    ]
    cells = [
        f'{{"number": {row["number"] or "null"}, "text": {json.dumps(row["text"] or None)}, '
        f'"flag": {row["flag"].lower()}, "id": {place}}}'
        for place, row in enumerate(lines)
    ]
    status, of_json = service.predict(f"[{','.join(cells)}]".encode(), X_API_Key=KEY)
    assert status == 200
    assert [row.pop("id") for row in of_json["predictions"]] == list(range(300))
    assert of_json["predictions"] == of_csv["predictions"]
    assert [row["predicted"] for row in of_json["predictions"]] == table["predicted"].tolist()
    for place, row in enumerate(of_json["predictions"]):
        for name, value in row.get("probabilities", {}).items():
            assert value == table[f"probability_{name}"][place]
        if which == "classes":
            assert row["set"] == json.loads(table["set"][place])
        else:
            assert row["interval"] == {"low": table["low"][place], "high": table["high"][place]}


def test_every_answer_names_the_model(classes):
    recorded = json.loads(classes.model.with_name(f"{classes.model.name}.json").read_text())
    answers = [
        classes.ask("POST", "/predict", json.dumps(ROW), Content_Type="application/json"),
        classes.ask("POST", "/predict", "{", Content_Type="application/json"),
        *(classes.ask("GET", path) for path in ("/health", "/ready", "/docs", "/openapi.json", "/metrics", "/other")),
    ]
    assert [status for status, *_ in answers] == [200, 422, 200, 200, 200, 200, 200, 404]
    for _, headers, body in answers:
        assert headers["Lockstep-SHA256"] == recorded["sha256"]
        assert headers["Lockstep-Problem"] == "p"
        assert classes.model.name in headers["Lockstep-File"]
        if "model" in (said := json.loads(body) if headers["Content-Type"] == "application/json" else {}):
            assert said["model"]["md5"] == recorded["md5"]
            assert said["model"]["threshold"]["of"] == recorded["decision"]["threshold"]["positive"]
            assert said["model"]["threshold"]["value"] == recorded["decision"]["threshold"]["value"]
            assert said["model"]["commit"] is None  # the folder is in no commit


def test_what_breaks_the_contract_is_told_and_warnings_come_back(classes):
    status, said = classes.predict([ROW, {**ROW, "text": "new"}])
    assert (status, len(said["predictions"])) == (200, 2)
    assert said["warnings"] == [f"the request breaks its contract: {NEW}, in row 2"]
    status, said = classes.predict([ROW, {**ROW, "number": "high"}])
    (error,) = said["errors"]
    assert (status, error["column"], error["rows"], error["reason"]) == (422, "number", [2], "type")
    assert error["allowed"].startswith("a number from -")
    said = classes.predict({"number": 1})[1]
    assert said["detail"].startswith("the request lacks columns that the model uses: flag, text.")
    assert [(error["reason"], error["allowed"]) for error in said["errors"]] == [("columns", "the columns flag, text")]
    (error,) = classes.predict({**ROW, "number": 1e39})[1]["errors"]
    assert (error["reason"], error["column"]) == ("range", "number")
    assert "1e+39 in row 1 is beyond 3.4e+38, too large to compute with." in error["message"]
    for body, what in (
        (b"number,text,flag\n1,low,True\n1,low\n", "the request line 3: 2 cells, the header has 3"),
        (
            b"number,text,flag\n1,low,True\nx,low,True\n",
            "the request column 'number': 1 of 2 cells are not of",
        ),
        (b"number,text,flag,more\n1,low,True,1\n", "the request column 'more': neither the model nor the contract"),
        (b"number,text,flag\n", "the request has no rows below its header"),
        (b"", "the request"),
    ):
        status, _, answer = classes.ask("POST", "/predict", body, Content_Type="text/csv")
        assert (status, what in json.loads(answer)["detail"]) == (422, True), answer


def test_a_rule_that_is_an_error_names_column_rows_and_what_is_allowed(classes, tmp_path):
    contract = (classes.folder / "data/contracts/p.yaml").read_text()
    for name in ("models", "data", "params.yaml"):
        (tmp_path / name).symlink_to(classes.folder / name)
    (tmp_path / "data").unlink()
    (tmp_path / "data/contracts").mkdir(parents=True)
    (tmp_path / "data/contracts/p.yaml").write_text(contract.replace("enum: warning", "enum: error"))
    service = Service(tmp_path)
    try:
        status, said = service.predict([ROW, {**ROW, "text": "new"}, {**ROW, "text": "other"}])
        (error,) = said["errors"]
        assert (status, error["column"], error["rows"], error["reason"]) == (422, "text", [2, 3], "enum")
        assert said["detail"] == (
            f"the request breaks its contract: {NEW}, 'other', in rows 2, 3. Allowed: one of high, low, mid, or null."
        )
        text = "number,text,flag\n1,low,True\n1,new,True\n"
        status, _, body = service.ask("POST", "/predict", text, Content_Type="text/csv")
        assert (status, "'new', in line 3." in json.loads(body)["detail"]) == (422, True)
        assert service.counts()['lockstep_refused_rows_total{reason="enum"}'] == 3
    finally:
        service.stop()


def test_ids_of_rows(classes):
    text = "number,text,flag,key\n1,low,True,00105\n"
    headers = {"Content_Type": "text/csv"}
    status, _, body = classes.ask("POST", "/predict?id=key", text, **headers)
    assert (status, json.loads(body)["predictions"][0]["id"]) == (200, "00105")
    assert classes.ask("POST", "/predict", text, **headers)[0] == 422
    assert classes.predict(ROW, "/predict?id=key")[0] == 422
    assert "cannot be the rows' id" in classes.predict(ROW, "/predict?id=number")[1]["detail"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "what"),
    [
        (b"x" * 40_001, {"Content_Type": "application/json"}, 413, "the body is larger than 40,000 bytes"),
        (b"number,text,flag\n" + b"1,low,True\n" * 401, {"Content_Type": "text/csv"}, 413, "more than 400 rows"),
        (json.dumps([ROW] * 401).encode(), {"Content_Type": "application/json"}, 413, "has 401 rows, at most 400"),
        (b"{}", {"Content_Type": "text/plain"}, 415, "Allowed: application/json and text/csv"),
        (b"{}", {}, 415, "the Content-Type is none"),
        (b"{}", {"Content_Type": "application/json; charset=latin-1"}, 415, "the charset 'latin-1'"),
        (b"{}", {"Content_Type": "application/json", "Content_Encoding": "gzip"}, 415, "Content-Encoding 'gzip'"),
        (b"\x1f\x8b123", {"Content_Type": "text/csv"}, 415, "is packed"),
    ],
)
def test_what_is_too_much_or_of_another_kind(classes, body, headers, status, what):
    found, _, answer = classes.ask("POST", "/predict", body, **headers)
    assert found == status, answer
    assert what in json.loads(answer)["detail"]
    assert classes.predict(ROW)[0] == 200


def test_another_path_or_method_is_told_what_there_is(classes):
    status, _, body = classes.ask("GET", "/")
    assert status == 404
    assert json.loads(body)["detail"].startswith("nothing is here. There are: /predict, /metrics, /docs, ")
    status, headers, body = classes.ask("GET", "/predict")
    assert (status, headers["Allow"], json.loads(body)["detail"]) == (405, "POST", "/predict takes POST alone.")


def test_a_body_of_unknown_length_is_bounded_too(classes):
    """It is read to its end, and thrown away, so that its client sees the answer."""

    def parts():
        for _ in range(5000):
            yield b" " * 1000

    status, _, body = classes.ask("POST", "/predict", parts(), Content_Type="application/json")
    assert (status, "larger than 40,000 bytes" in body.decode()) == (413, True)


def test_clients_that_hang(classes):
    """One that sends nothing, one that sends half a header, one half a body: others are answered meanwhile."""
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    hanging = [socket.create_connection(("127.0.0.1", classes.port), 30) for _ in range(3)]
    try:
        hanging[1].sendall(head)
        hanging[2].sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert classes.predict(ROW)[0] == 200
        assert hanging[0].recv(100) == hanging[1].recv(100) == b""
        said = hanging[2].makefile("rb").read()
        assert said.startswith(b"HTTP/1.1 408")
        assert b"did not arrive within 2 seconds" in said
    finally:
        for connection in hanging:
            connection.close()


def test_the_page_and_the_openapi_document_need_no_network_and_come_from_the_contract(classes):
    document = json.loads(classes.ask("GET", "/openapi.json")[2])
    post = document["paths"]["/predict"]["post"]
    taken = post["requestBody"]["content"]["application/json"]
    for example in taken["examples"].values():
        jsonschema.validate(example["value"], taken["schema"])
        status, said = classes.predict(example["value"])
        assert status == 200
        jsonschema.validate(said, post["responses"]["200"]["content"]["application/json"]["schema"])
    text = post["requestBody"]["content"]["text/csv"]["example"]
    assert classes.ask("POST", "/predict", text, Content_Type="text/csv")[0] == 200

    class Links(HTMLParser):
        found = ()

        def handle_starttag(self, tag, attributes):
            self.found += tuple(word for name, word in attributes if name in ("src", "href", "action"))

    _, headers, page = classes.ask("GET", "/docs")
    links = Links()
    links.feed(page.decode())
    assert links.found == ("openapi.json",)
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "one of high, low, mid, or null" in page.decode()


def test_what_is_counted(classes):
    before = classes.counts()
    classes.predict([ROW] * 3)
    classes.predict([{**ROW, "flag": 3}] * 2)
    after = classes.counts()
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown['lockstep_requests_total{path="/predict",status="200"}'] == 1
    assert grown['lockstep_refused_requests_total{reason="type"}'] == 1
    assert grown['lockstep_refused_rows_total{reason="type"}'] == 2
    assert grown["lockstep_rows_sum"] == grown["lockstep_predicted_probability_count"] == 3
    assert sum(grown[f'lockstep_predictions_total{{predicted="c{place}"}}'] for place in (0, 1)) == 3
    assert grown['lockstep_request_seconds_count{path="/predict"}'] == 2


def test_without_the_key_nothing_but_health(numbers):
    assert numbers.predict(ROW)[0] == numbers.ask("GET", "/docs")[0] == numbers.ask("GET", "/metrics")[0] == 401
    assert numbers.predict(ROW, X_API_Key=KEY[:-1])[0] == numbers.predict(ROW, X_API_Key="ü")[0] == 401
    assert numbers.ask("GET", "/health")[0] == numbers.ask("GET", "/ready")[0] == 200
    for headers in ({"X_API_Key": KEY}, {"Authorization": f"Bearer {KEY}"}):
        assert numbers.predict(ROW, **headers)[0] == 200
    assert numbers.ask("GET", "/docs", Authorization="Basic bad")[0] == 401
    assert 'lockstep_refused_requests_total{reason="api_key"}' in numbers.counts(X_API_Key=KEY)


@pytest.mark.parametrize(
    ("arguments", "key", "code", "message"),
    [
        (["--host", "0.0.0.0"], None, 2, "--host 0.0.0.0 lets other machines ask, and LOCKSTEP_API_KEY is not set"),
        (["--host", "example.org"], None, 2, "lets other machines ask"),
        ([], "short", 2, "LOCKSTEP_API_KEY has 5 characters, at least 16"),
        (["--max-rows", "0"], None, 2, "--max-rows is 0. It must be above 0."),
        (["--port", "99999"], None, 2, "--port is 99999. It must be between 0 and 65535."),
        (["--host", "127.0.0.1", "--port", "TAKEN"], None, 4, "cannot be listened on ("),
        (["--sha256", "0" * 64], None, 3, "has another SHA-256 than the one given"),
    ],
)
def test_a_service_that_must_not_begin(classes, monkeypatch, capsys, arguments, key, code, message):
    monkeypatch.chdir(classes.folder)
    monkeypatch.delenv("LOCKSTEP_API_KEY", raising=False)
    if key:
        monkeypatch.setenv("LOCKSTEP_API_KEY", key)
    arguments = [str(classes.port) if word == "TAKEN" else word for word in arguments]
    assert main(["serve", str(classes.model), *arguments]) == code
    assert message in capsys.readouterr().err


def test_answers_do_not_wait_for_acknowledgements(classes, monkeypatch):
    """Of one client at a time, Nagle's algorithm and delayed acknowledgements cost 40 ms an answer."""
    found = []
    monkeypatch.setattr(
        "uvicorn.Server.run",
        lambda _, sockets: found.extend(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets),
    )
    monkeypatch.chdir(classes.folder)
    assert main(["serve", str(classes.model), "--port", "0"]) == 0
    assert found == [1]


def test_without_its_libraries_it_says_what_installs_them(monkeypatch, capsys):
    for name in [
        name
        for name in sys.modules
        if name.startswith(("lockstep.deployment.serving.app", "lockstep.deployment.serving.server"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("fastapi", "prometheus_client", "uvicorn"):  # none of which a fresh environment has
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["serve", "p"]) == 4
    assert re.search(
        r"(fastapi|prometheus_client|uvicorn) is not installed\. Type 'make serve'", capsys.readouterr().err
    )


def test_the_log_has_no_values_unless_asked(classes, numbers):
    for service in (classes, numbers):
        for text in ("SECRET", "low"):
            service.predict([{**ROW, "number": "SECRET", "text": text}], X_API_Key=KEY)
            service.predict([{**ROW, "text": "SECRET"}], X_API_Key=KEY)
        service.ask("GET", "/SECRET?SECRET=1", X_API_Key=KEY)
    assert "SECRET" not in classes.log.read_text()
    assert "'SECRET'" in numbers.log.read_text()
    assert re.search(r"INFO POST /predict 422 \d+ bytes \d+\.\d ms\n", classes.log.read_text())


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_under_load_a_stop_and_a_kill_lose_no_answer_that_was_begun(classes, monkeypatch, number):
    """Every answer is the right one, and each request has one in the end: what SIGTERM finds under way is answered; who
    is answered nothing asks again, and the service that is started in its place answers."""
    rows, right = rows_of(classes), predicted(classes, monkeypatch)[1]["predicted"].tolist()
    service = Service(classes.folder)
    broken = []

    def ask(place):
        for _ in range(600):
            try:
                status, said = service.predict(rows[place : place + 20])
            except (OSError, http.client.HTTPException) as error:
                broken.append(type(error).__name__)
                time.sleep(0.1)
            else:
                return (status, [row["predicted"] for row in said["predictions"]] == right[place : place + 20])
        return None

    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(ask, place * 7 % 280) for place in range(60)]
            while sum(answer.done() for answer in answers) < 20:
                time.sleep(0.01)
            code, log = service.stop(number)
            service = Service(classes.folder, port=service.port)
        assert {answer.result() for answer in answers} == {(200, True)}
        # A connection that the stop refuses was answered nothing; only a kill cuts an answer.
        refused = {"ConnectionRefusedError", "ConnectionResetError", "RemoteDisconnected"}
        assert broken
        assert set(broken) <= refused | ({"IncompleteRead"} if number == signal.SIGKILL else set())
        assert (code, log.endswith("stopped\n")) == ((0, True) if number == signal.SIGTERM else (-9, False)), log
    finally:
        service.stop(signal.SIGKILL)
