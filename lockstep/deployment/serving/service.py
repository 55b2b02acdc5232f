"""The answer to one request for predictions, without HTTP: bytes to predictions, or to what is wrong with them."""

import codecs
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.deployment.serving.identity import Identity
from lockstep.deployment.serving.json_rows import read_rows, too_many_rows, unknown_columns
from lockstep.deployment.serving.mistakes import REQUEST, Mistake, RequestError, mistakes_of
from lockstep.deployment.serving.predicting import RowBlock, RowScorer, blocks_of, predict_blocks
from lockstep.deployment.serving.row_schema import known_columns
from lockstep.kernel.errors import DataError, called
from lockstep.learning.scoring import PROBABILITY
from lockstep.reading.source import PACKED

import numpy as np

ID = "id"
"""The column that names the rows, unless a request says another."""
JSON, CSV = "application/json", "text/csv"


class Limits(NamedTuple):
    """What a client may ask at most.

    Attributes:
        body: bytes of a request's body.
        rows: in one request.
        seconds: for a request to arrive, and for each part of the answer to be taken.
    """

    body: int = 32 << 20
    rows: int = 100_000
    seconds: float = 30.0


class Answer(NamedTuple):
    """Predictions.

    Attributes:
        columns: what ``predicting.predict_blocks`` gives, all rows.
        warnings: what the contract only warns of.
    """

    columns: dict[str, np.ndarray]
    warnings: list[str]


_heard: ContextVar[list[str] | None] = ContextVar("_heard", default=None)


class Listening(logging.Filter):
    """Takes what the log is told of a request's rows for the answer; it has values of them, and is not logged.

    Args:
        logs_values: whether it is logged, too.
    """

    def __init__(self, logs_values: bool = False) -> None:
        super().__init__()
        self._logs_values = logs_values

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the log gets a record."""
        if (heard := _heard.get()) is None:
            return True
        if record.levelno >= logging.WARNING:
            heard.append(record.getMessage())
        return self._logs_values


def answer(scorer: RowScorer, limits: Limits, body: bytes, content_type: str, id_column: str | None) -> Answer:
    """Score the rows of a request's body; the log must have a Listening.

    Args:
        scorer: the model.
        limits: what may be asked.
        body: the rows, as the content type says.
        content_type: the header of that name.
        id_column: the column that names the rows, which must be there; None: ``id``, if it is.

    Raises:
        RequestError: the request is refused: what is wrong with it.
    """
    kind, charset = _media_type(content_type)
    if id_column is not None and id_column in scorer.types:
        message = f"the model uses the column '{id_column}': it cannot be the rows' id. Give another: ?id=COLUMN."
        raise RequestError([Mistake("unknown_column", message, id_column)])
    with _listening() as heard:
        try:
            if kind == JSON:
                _check_charset(charset, "utf-8")
                block = read_rows(body, scorer, limits.rows, id_column or ID)
                _check_id(block, id_column)
                found = list(predict_blocks(scorer, [block], REQUEST))
            else:
                found = _of_csv(scorer, limits, body, charset, id_column)
        except DataError as error:
            mistakes = mistakes_of(error, scorer, "json" if kind == JSON else "csv")
            raise RequestError(mistakes, getattr(error, "status", 422)) from None
        if not found:
            raise RequestError([Mistake("csv", f"{REQUEST} has no rows below its header.")])
        if len(found) > 1:
            found = [{name: np.concatenate([block[name] for block in found]) for name in found[0]}]
        return Answer(found[0], heard)


def _media_type(content_type: str) -> tuple[str, str]:
    """(JSON or CSV, the character set or "")"""
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind not in (JSON, CSV):
        given = f"'{kind[:100]}'" if kind else "none"
        message = f"the Content-Type is {given}. Allowed: {JSON} and {CSV}."
        raise RequestError([Mistake("content_type", message, allowed=f"{JSON}, {CSV}")], 415)
    words = dict(word.strip().lower().split("=", 1) for word in parameters.split(";") if "=" in word)
    return kind, words.get("charset", "").strip('"')


def _check_charset(given: str, demanded: str) -> None:
    try:
        is_other = bool(given) and codecs.lookup(given).name != codecs.lookup(demanded).name
    except LookupError:
        is_other = True
    if is_other:
        message = f"the charset '{given[:40]}' is not the one that is read here: {demanded}."
        raise RequestError([Mistake("content_type", message, allowed=demanded)], 415)


@contextmanager
def _listening() -> Iterator[list[str]]:
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def _check_id(block: RowBlock, id_column: str | None) -> None:
    if id_column is not None and block.ids is None:
        message = f"{REQUEST} lacks the column '{id_column}', which ?id= names. Add it, or leave ?id= out."
        raise RequestError([Mistake("columns", message, id_column)])


def _of_csv(
    scorer: RowScorer, limits: Limits, body: bytes, charset: str, id_column: str | None
) -> list[dict[str, np.ndarray]]:
    """The predictions of the rows of a CSV text, block by block, as ``predict`` makes them of a file."""
    if any(body.startswith(magic) for magic in PACKED.values()):
        raise RequestError([Mistake("csv", f"{REQUEST} is packed. Send plain text.", allowed="plain text")], 415)
    _check_charset(charset, scorer.dialect.encoding)
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(body)
        file.flush()

        def checked() -> Iterator[RowBlock]:
            rows, known = 0, known_columns(scorer) | {id_column or ID}
            for block in blocks_of(scorer, Path(file.name), REQUEST, id_column or ID):
                if unknown := [name for name in block.others if name not in known]:
                    raise unknown_columns(dict.fromkeys(unknown, ()), known)
                _check_id(block, id_column)
                rows += len(block.frame)
                if rows > limits.rows:
                    raise too_many_rows(limits.rows)
                yield block

        with called(file.name, REQUEST):
            return list(predict_blocks(scorer, checked(), REQUEST))


def plain_model(identity: Identity, scorer: RowScorer) -> dict[str, Any]:
    """What every answer says of the model, as JSON has it."""
    decision = scorer.decision
    found: dict[str, Any] = {
        "problem": identity.problem,
        "file": identity.file,
        "sha256": identity.sha256,
        "md5": identity.md5,
        "commit": identity.commit,
        **({"version": identity.version, "stage": identity.stage} if identity.stage else {}),
        "task": scorer.task,
    }
    if decision.threshold is not None:
        chosen = decision.threshold
        found["threshold"] = {"value": chosen.value, "of": chosen.positive, "chosen_by": chosen.by}
    if decision.intervals is not None:
        found["interval_level"] = decision.intervals.level
    if identity.note:
        found["note"] = identity.note
    return found


def plain_predictions(columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """The rows of what ``predict_blocks`` gives, as JSON has them, with ``probabilities``, ``interval``, ``set``.

    Raises:
        ValueError: the model predicts NaN or an infinite number, which JSON has not.
    """
    for name, column in columns.items():
        if column.dtype.kind == "f" and not np.isfinite(column).all():
            raise ValueError(f"the model's '{name}' is no finite number in some rows")
    known = {name: column.tolist() for name, column in columns.items()}
    fields: dict[str, Iterable[Any]] = {name: known[name] for name in ("row", "predicted", ID) if name in known}
    if classes := [name for name in known if name.startswith(PROBABILITY)]:
        names = [name.removeprefix(PROBABILITY) for name in classes]
        rows = zip(*(known[name] for name in classes), strict=True)
        fields["probabilities"] = [dict(zip(names, row, strict=True)) for row in rows]
    if "low" in known:
        fields["interval"] = [{"low": low, "high": high} for low, high in zip(known["low"], known["high"], strict=True)]
    if "set" in known:
        sets = {text: json.loads(text) for text in set(known["set"])}
        fields["set"] = [sets[text] for text in known["set"]]
    return [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]
