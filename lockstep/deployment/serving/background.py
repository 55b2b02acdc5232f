"""The training rows that reasons start from: of a problem's model drawn from those that ``split`` wrote; of one that
``run_pipeline`` made, kept in a small file beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from lockstep.kernel.errors import DataError, plural
from lockstep.learning.preprocessing import raw_types_of
from lockstep.saving.sidecar import read_about
from lockstep.steps.diagnosing.reasons import ORDERS, Background, drawn
from lockstep.tables.table import Table, read_hashed_table

import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.pipeline import Pipeline


def columns_taken(model: Pipeline, known: Mapping[str, str]) -> dict[str, str]:
    """{column: type} of the raw columns that a model takes; ``known``: the same of those that it was fitted on.

    Raises:
        AttributeError, KeyError: it is none of Lockstep's.
    """
    encoder, own = model.named_steps["preprocess"], model.named_steps.get("features")
    # Any column that the user's code is given may be one that it uses.
    return raw_types_of(encoder, known) if own is None else dict(own.raw_types_)


def background_file(model: Path) -> Path:
    """The file beside a model of ``run_pipeline`` that holds the rows that its reasons start from."""
    return model.with_name(f"{model.stem}_background.parquet")


def write_background(file: Path, train: Table, columns: Sequence[str], sha256: str) -> None:
    """Write the rows that a model's reasons start from, as parquet: the same ones always give the same bytes.

    Args:
        file: see ``background_file``.
        train: the raw training rows; ORDERS of them are written.
        columns: those that the model takes.
        sha256: of the parquet file of the training rows, which names them.
    """
    own = {"training_rows": {"rows": len(train), "sha256": sha256}, "positive": train.positive}
    arrow = pa.Table.from_pandas(drawn(train.features[list(columns)]).rows, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), b"lockstep": json.dumps(own).encode()})
    pq.write_table(arrow, file, compression="zstd", write_page_checksum=True)


def background_of(
    path: Path, columns: Sequence[str], problem: str | None, asking: str, root: Path = Path()
) -> Background:
    """The rows that reasons of the model at ``path`` start from, for what ``asking`` names.

    Args:
        path: the model.
        columns: those that it takes.
        problem: whose training rows it was fitted on; None for the one that its folder is named after.
        asking: the flag or argument that the user gave.
        root: of the repository.

    Raises:
        DataError: they are not here, or are others.
    """
    file = background_file(path)
    if file.exists():
        return _read(file, path, columns)
    if problem is None and path.resolve().parent.name == "models":
        raise DataError(
            f"{asking} compares with training rows, but {file}, which 'run_pipeline' writes beside {path}, is not "
            "here. Put it there again, or make the model again."
        )
    train = training_rows(path, problem, asking, root)
    return drawn(train.features[list(columns)], train.positive)


def _read(file: Path, model: Path, columns: Sequence[str]) -> Background:
    """What write_background wrote. Raises DataError, if it did not write the file, or did for another model."""
    again = "Copy it again from where the model comes from, or make the model again."
    try:
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as opened:
            arrow = opened.read(use_threads=False)
        own = json.loads(arrow.schema.metadata[b"lockstep"])
        rows = arrow.to_pandas()[list(columns)]
        found = Background(rows, own["training_rows"]["rows"], own["positive"])
        if len(rows) != ORDERS:
            raise ValueError(f"it has {plural(len(rows), 'row')}")
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} is not what 'run_pipeline' wrote beside {model} ({error}). {again}") from None
    if own["training_rows"] != read_about(model).get("training_rows"):
        raise DataError(f"{file} holds other rows than {model} was fitted on. {again}")
    return found


def training_rows(path: Path, problem: str | None, asking: str, root: Path = Path()) -> Table:
    """The rows that the model at ``path`` was fitted on, of a problem, for what ``asking`` names. Arguments and errors
    as of ``background_of``."""
    file = root / f"data/split/{problem or path.resolve().parent.name}/train.parquet"
    if not file.exists():
        raise DataError(
            f"{asking} compares with the training rows, but {file} is not here. Run 'dvc checkout {file}', 'dvc pull "
            f"{file}' or 'dvc repro'; or name the problem: --problem NAME."
        )
    table, sha256 = read_hashed_table(file)
    if read_about(path).get("training_rows", {}).get("sha256") != sha256:
        raise DataError(f"{file} holds other rows than {path} was fitted on. Run 'dvc checkout' or 'dvc repro'.")
    return table
