"""What a report says of the predictions of a regression."""

from lockstep.steps.reporting.plotted import Bin
from lockstep.steps.reporting.regression import error_says, regression_facts
from reports import made_of, noisy

import pytest


@pytest.fixture(scope="module")
def made():
    return made_of(noisy("regression", rows=600), "ridge")


def test_no_row_is_lost(made):
    facts = regression_facts(made.sources.plots, made.sources.diagnosis.own)
    assert len(facts.predicted.points) == len(facts.residuals.points) == len(made.test) == 120
    assert not facts.predicted.outside
    for bins in (facts.calibration, facts.error_by_size):
        assert sum(entry.rows for entry in bins) == 120
        assert all(entry.low < entry.y < entry.high for entry in bins)


def test_the_errors_are_those_of_the_predictions(made):
    facts = regression_facts(made.sources.plots, made.sources.diagnosis.own)
    errors = (made.predictions["actual"] - made.predictions["predicted"]).abs()
    weighted = sum(entry.y * entry.rows for entry in facts.error_by_size) / 120
    assert weighted == pytest.approx(errors.mean())
    worst = made.sources.diagnosis.worst.rows[0]
    assert worst.off == pytest.approx((made.predictions["actual"] - made.predictions["predicted"])[errors.idxmax()])


def bin_of(x, y, half):
    return Bin(x, y, None if half is None else y - half, None if half is None else y + half, 10)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (bin_of(0, 1.0, 0.1), bin_of(9, 2.0, 0.1), "It is larger for large values: 1 where the target is"),
        (bin_of(0, 2.0, 0.1), bin_of(9, 1.0, 0.1), "It is larger for small values: 2 where the target is"),
        (
            bin_of(0, 1.0, 0.6),
            bin_of(9, 2.0, 0.6),
            "It is 1 where the target is smallest, 2 where it is largest; their",
        ),
        (bin_of(0, 1.0, None), bin_of(9, 2.0, 0.1), "It is 1 where the target is smallest, 2 where it is largest."),
    ],
)
def test_what_the_error_by_size_says(first, last, said):
    assert error_says([first, bin_of(5, 50.0, 0.1), last]).startswith(said)
    assert error_says([first]) == ""
