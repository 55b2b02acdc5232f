"""The HTTP interface of a service: paths, bounds, who may ask, what is logged and counted."""

import asyncio
import base64
import csv
import hmac
import io
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

from lockstep.deployment.serving.identity import Identity
from lockstep.deployment.serving.mistakes import MOST, Mistake, RequestError
from lockstep.deployment.serving.page import POLICY, docs_page
from lockstep.deployment.serving.predicting import RowScorer
from lockstep.deployment.serving.row_schema import answer_schema, example_row, row_schema
from lockstep.deployment.serving.service import (
    CSV,
    JSON,
    Answer,
    Limits,
    Listening,
    answer,
    plain_model,
    plain_predictions,
)
from lockstep.deployment.serving.service_metrics import ServiceMetrics
from lockstep.kernel.log import logger

import anyio
import msgspec
import pandas as pd
from fastapi import FastAPI, Query, Request, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

OPEN = ("/health", "/ready")
"""Paths that ask for no key: what a machine asks that keeps the service up."""
PATHS = ("/predict", "/metrics", "/docs", "/openapi.json", *OPEN)
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_ERRORS = {
    401: "The API key is missing, or another.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many rows.",
    415: "The body is neither JSON nor CSV.",
    422: "A row breaks the contract: column, row, and what is allowed.",
}


class Service:
    """A model behind paths.

    Args:
        scorer, identity: the model.
        limits: what a client may ask.
        key: what a client must know; None: nothing.
        logs_values: whether the log may show values of rows.
    """

    def __init__(
        self,
        scorer: RowScorer,
        identity: Identity,
        limits: Limits,
        key: str | None = None,
        *,
        logs_values: bool = False,
    ) -> None:
        self.scorer, self.limits, self.key, self.logs_values = scorer, limits, key, logs_values
        self.model = plain_model(identity, scorer)
        self.metrics = ServiceMetrics(scorer, identity)
        self.headers = [
            (f"lockstep-{name}".encode(), quote(str(self.model[name]), safe="/").encode())
            for name in ("problem", "file", "sha256", "md5", "commit", "version", "stage")
            if self.model.get(name) is not None
        ]
        self._limiter: anyio.CapacityLimiter | None = None

    async def predict(self, request: Request, id: str | None = Query(None, max_length=1000)) -> Response:  # noqa: A002
        """Predictions of one row or of many. ``id`` names the column that comes back with each."""
        try:
            _check_plain(request)
            body = await _body_of(request, self.limits)
            self._limiter = self._limiter or anyio.CapacityLimiter(os.cpu_count() or 1)
            wants_csv = CSV in request.headers.get("accept", "")
            content_type = request.headers.get("content-type", "")
            return await anyio.to_thread.run_sync(
                self._respond, body, content_type, id, wants_csv, limiter=self._limiter
            )
        except RequestError as error:
            return self._refusal(error)

    def _respond(self, body: bytes, content_type: str, id_column: str | None, wants_csv: bool) -> Response:
        found = answer(self.scorer, self.limits, body, content_type, id_column)
        self.metrics.scored(found.columns)
        self.metrics.warnings.inc(len(found.warnings))
        if wants_csv:
            table = pd.DataFrame(found.columns)
            return Response(table.to_csv(index=False, lineterminator="\n"), media_type=CSV)
        return _json(self._plain(found))

    def _plain(self, found: Answer) -> dict[str, Any]:
        return {"model": self.model, "predictions": plain_predictions(found.columns), "warnings": found.warnings}

    def _refusal(self, error: RequestError) -> Response:
        self.metrics.refuse(error.mistakes)
        if self.logs_values:
            logger.warning("refused: %s", error)
        errors = [mistake.plain() for mistake in error.mistakes[:MOST]]
        response = _json({"detail": str(error), "errors": errors, "model": self.model}, error.status)
        if error.status in (408, 413):
            response.headers["connection"] = "close"  # the rest of the body is not read
        return response

    async def elsewhere(self, request: Request, error: Exception) -> Response:
        """The answer where there is nothing, or nothing for the request's method."""
        assert isinstance(error, HTTPException)
        message = f"nothing is here. There are: {', '.join(PATHS)}."
        if error.status_code == 405:
            message = f"{request.url.path} takes {(error.headers or {})['Allow']} alone."
        response = self._refusal(RequestError([Mistake("path", message, allowed=", ".join(PATHS))], error.status_code))
        response.headers.update(error.headers or {})
        return response

    async def health(self) -> Response:
        """Whether the process answers."""
        return _json({"status": "ok", "model": self.model})

    async def ready(self) -> Response:
        """Whether it predicts: it does as soon as it listens, since the model was opened before."""
        return _json({"status": "ready", "model": self.model})

    async def show_metrics(self) -> Response:
        """The counts, for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def docs(self) -> Response:
        """What a row may hold, for people."""
        page = docs_page(self.scorer, self.model, self.limits)
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    def admits(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request has the key: as X-API-Key, as a Bearer token, or as the password of a browser's form."""
        if self.key is None:
            return True
        found = dict(headers)
        scheme, _, word = found.get(b"authorization", b"").partition(b" ")
        given = found.get(b"x-api-key") or (word.strip() if scheme.lower() == b"bearer" else b"")
        if not given and scheme.lower() == b"basic":
            try:
                given = base64.b64decode(word, validate=True).partition(b":")[2]
            except ValueError:
                given = b""
        return hmac.compare_digest(given, self.key.encode())

    def unknown_key(self) -> Response:
        """The answer to a request without the key."""
        mistake = Mistake("api_key", "The API key is missing, or another. Send it as the header X-API-Key.")
        response = self._refusal(RequestError([mistake], 401))
        response.headers["www-authenticate"] = 'Basic realm="API key as password"'
        return response


def make_app(service: Service) -> Any:
    """The ASGI application; it takes over the log's filter."""
    limits = service.limits
    app = FastAPI(
        title=f"Predictions of {service.model['problem']}",
        version=service.model["sha256"][:12],
        docs_url=None,
        redoc_url=None,
    )
    row = row_schema(service.scorer)
    rows = {"anyOf": [row, {"type": "array", "items": row, "minItems": 1, "maxItems": limits.rows}]}
    example = example_row(service.scorer)
    body = {
        "required": True,
        "description": f"At most {limits.rows:,} rows and {limits.body:,} bytes.",
        "content": {
            JSON: {"schema": rows, "examples": {"one row": {"value": example}, "rows": {"value": [example]}}},
            CSV: {"schema": {"type": "string"}, "example": _csv_of(example)},
        },
    }
    answers: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "A prediction for each row, in its order.",
            "content": {JSON: {"schema": answer_schema(service.scorer)}, CSV: {"schema": {"type": "string"}}},
        }
    }
    answers |= {status: {"description": text} for status, text in _ERRORS.items()}
    app.add_api_route(
        "/predict", service.predict, methods=["POST"], responses=answers, openapi_extra={"requestBody": body}
    )
    plain = (("/health", service.health), ("/ready", service.ready), ("/metrics", service.show_metrics))
    for path, handler in plain:
        app.add_api_route(path, handler, methods=["GET"])
    app.add_api_route("/docs", service.docs, methods=["GET"], include_in_schema=False)
    app.add_exception_handler(HTTPException, service.elsewhere)
    for known in [known for known in logger.filters if isinstance(known, Listening)]:
        logger.removeFilter(known)
    logger.addFilter(Listening(service.logs_values))
    return _Guard(app, service)


class _Guard:
    """What holds for every path: the key, the model's name in each answer, time for the client to take it, the log."""

    def __init__(self, app: Any, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        service, start = self._service, time.perf_counter()
        path = scope["path"] if scope["path"] in PATHS else "other"
        status, sent = 500, 0

        async def sending(message: _Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [*service.headers, (b"x-content-type-options", b"nosniff")]
                message["headers"] = [*message.get("headers", ()), *own]
            sent += len(message.get("body", b""))
            async with asyncio.timeout(service.limits.seconds):
                await send(message)

        try:
            if path in OPEN or service.admits(scope["headers"]):
                await self._app(scope, receive, sending)
            else:
                await service.unknown_key()(scope, receive, sending)
        except TimeoutError:
            status = 499  # as proxies call it: the client was gone, or did not read
        finally:
            seconds = time.perf_counter() - start
            service.metrics.requests.labels(path, str(status)).inc()
            service.metrics.seconds.labels(path).observe(seconds)
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
            logger.info("%s %s %d %d bytes %.1f ms", method, path, status, sent, seconds * 1000)


def _check_plain(request: Request) -> None:
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        message = f"the Content-Encoding '{coding[:40]}' is not taken. Send the rows as they are."
        raise RequestError([Mistake("content_type", message, allowed="identity")], 415)


async def _body_of(request: Request, limits: Limits) -> bytes:
    """The body, as far as the limits let it be."""
    refusal = RequestError(
        [
            Mistake(
                "too_large",
                f"the body is larger than {limits.body:,} bytes. Send several requests, or use 'predict'.",
                allowed=f"at most {limits.body:,} bytes",
            )
        ],
        413,
    )
    declared = request.headers.get("content-length", "")
    is_asking = request.headers.get("expect", "").lower() == "100-continue"
    if is_asking and declared.isdigit() and int(declared[:20]) > limits.body:
        raise refusal
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(limits.seconds):
            async for part in request.stream():
                size += len(part)
                parts.append(part)
                if size > limits.body:
                    parts.clear()  # the rest is thrown away: a client that is cut off amid sending sees no answer
    except TimeoutError:
        if size <= limits.body:
            message = f"the body did not arrive within {limits.seconds:g} seconds. Send it again."
            raise RequestError([Mistake("too_slow", message)], 408) from None
    except ClientDisconnect:
        raise RequestError([Mistake("disconnected", "the client left amid its request.")], 400) from None
    if size > limits.body:
        raise refusal
    return b"".join(parts)


def _json(content: Any, status: int = 200) -> Response:
    try:
        text = msgspec.json.encode(content)
    except UnicodeEncodeError:  # half a character, from the request
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")
    return Response(text, status, media_type=JSON)


def _csv_of(row: dict[str, Any]) -> str:
    """A row as CSV; no example has a character that would need quotes, or it gets them."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([row.keys(), row.values()])
    return file.getvalue()
