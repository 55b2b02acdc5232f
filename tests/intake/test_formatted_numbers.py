"""Text columns that hold formatted numbers."""

from lockstep.intake.formatted_numbers import formatted_number

import pandas as pd
import pytest


@pytest.mark.parametrize(
    ("cells", "example", "remedy"),
    [
        (["12,345.67", "99.50", "1,000.00"], "12,345.67", "add the table with --thousands ,"),
        (["1 234", "950"], "1 234", "add the table with --thousands ' '"),
        (["1.234.567,5", "950"], "1.234.567,5", "add the table with --thousands . --decimal ,"),
        (["1,234", "5,678"], "1,234", "add the table with --thousands , or --decimal ,"),
        (["1,234", "5,67"], "5,67", "add the table with --decimal ,"),
        (["1\N{NO-BREAK SPACE}234", "950"], "1\N{NO-BREAK SPACE}234", "write them as plain numbers in the file"),
        (["62.9%", "5 %"], "62.9%", "write them as plain numbers in the file"),
        (["$50000", "-$5"], "$50000", "write them as plain numbers in the file"),
        (["124.97 €", "€5"], "124.97 €", "write them as plain numbers in the file"),
        (["5.5", "(62.9)"], "(62.9)", "write them as plain numbers in the file"),
    ],
)
def test_numbers_in_texts(cells, example, remedy):
    assert formatted_number(pd.Series([*cells * 10, None, "NA"], dtype="str")) == (example, remedy)


@pytest.mark.parametrize(
    "cells",
    [["0114101516", "7129300520"], ["A5", "5,5"], ["2024-01-05"], ["5.1.2024"], ["red"], ["5", "x", "5%"], ["NA"]],
)
def test_texts_without_numbers(cells):
    assert formatted_number(pd.Series(cells * 10, dtype="str")) is None
