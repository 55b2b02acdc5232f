"""The cells of a CSV file as texts."""

from lockstep.intake.detecting.csv_detection import whole_table
from lockstep.reading.csvfile import CsvFile, Dialect


def read_csv(path, dialect=Dialect(), source=None):
    """Read the file ``path``, whose first record is the header; ``source``: its text, if it has been read already."""
    file = CsvFile(path, dialect, source)
    file.check_delimiter()
    return whole_table(file)
