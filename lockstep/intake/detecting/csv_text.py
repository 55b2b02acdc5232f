"""The cells of a CSV file as texts: for ``add``, which looks at how they are written, and for rows to predict."""

from collections.abc import Iterator
from pathlib import Path

from lockstep.reading.csvfile import CsvFile, Dialect, TextTable
from lockstep.reading.source import Source

import numpy as np
import pyarrow as pa


def read_csv(path: Path, dialect: Dialect = Dialect(), source: Source | None = None) -> TextTable:
    """Read the file ``path``; its first record is the header.

    Args:
        path: the file.
        dialect: how it is written.
        source: its text, if it has been read already.

    Raises:
        DataError: see source.open_source; or a cell count, a quote, a byte or the header is not as it must be. The
            message names the file and the line.
    """
    file = CsvFile(path, dialect, source)
    file.check_delimiter()
    return whole_table(file)


def whole_table(file: CsvFile) -> TextTable:
    """All cells of a file that was just opened. Raises DataError as CsvFile does."""
    tables = [(file.cells(block), block.line_starts) for block in file.blocks()]
    return TextTable(pa.concat_tables([cells for cells, _ in tables]), np.concatenate([lines for _, lines in tables]))


def read_csv_blocks(path: Path, dialect: Dialect = Dialect(), source: Source | None = None) -> Iterator[TextTable]:
    """The rows of the file in blocks of about CHUNK bytes: for files larger than memory. Raises as read_csv does, where
    the block with the mistake is read.
    """
    file = CsvFile(path, dialect, source)
    file.check_delimiter()
    for block in file.blocks():
        yield TextTable(file.cells(block), block.line_starts)
        file.source.forget(block.end)
