"""What a report says of calibration, threshold and intervals: the numbers of the test rows, in words and pictures."""

from dataclasses import replace

from lockstep.learning.estimators import Costs
from lockstep.steps.reporting.decisions import decision_facts, decision_sentences
from lockstep.steps.reporting.facts import facts_of
from lockstep.steps.reporting.page import report_page
from lockstep.steps.reporting.pictures import pictures_of
from lockstep.steps.reporting.wording import percent, score
from reports import made_of, noisy

import pytest

COSTS = Costs(false_positive=1, false_negative=5)


@pytest.fixture(scope="module")
def decided():
    trained = {"calibrate": "sigmoid", "threshold": "cost", "costs": COSTS}
    return made_of(noisy(rows=400), trained=trained).sources


def test_the_sentences_have_the_numbers_of_the_test_rows(decided):
    calibration, threshold, bought, sets = decision_sentences(decided)
    metrics = decided.metrics
    assert f"{score(metrics['log_loss'])}, and was {score(metrics['log_loss_uncalibrated'])} before." in calibration
    chosen = decided.sidecar.decision.threshold
    assert threshold.startswith(
        f"A row is given c1 from a probability of {score(chosen.value)} on instead of 0.5, by the"
    )
    assert "(1 for a row named so wrongly, 5 for one missed)" in threshold
    assert f"{score(metrics['threshold_cost'])} instead of {score(metrics['default_cost'])}" in bought
    excluded = metrics["threshold_gain_low"] > 0 or metrics["threshold_gain_high"] < 0
    assert ("does not exclude" in bought) == (not excluded)
    assert f"hold the actual class in {percent(metrics['coverage'])}" in sets


def test_the_page_draws_what_the_threshold_was_chosen_on_and_the_calibration_before(decided):
    facts = facts_of(decided)
    pictures = pictures_of(facts)
    assert "the mean cost of a row over the threshold" in pictures["decision"]
    assert ">before</text>" in pictures["calibration"]
    page = report_page(facts, pictures)
    assert "The folds are scored by the model's own decision" in page.replace("&#39;", "'")
    assert "The model flags a row from" in page
    assert all(len(row.reasons) == 3 for row in decided.diagnosis.worst.rows)
    name, moved = facts.weak.worst.rows[0].reasons[0]
    assert f"{name}</bdi> {'+' if moved > 0 else ''}" in page


def test_where_nothing_was_decided_nothing_is_said():
    plain = made_of(noisy(rows=200), trained={"interval_level": 0.0}).sources
    assert decision_sentences(plain) == []
    facts = decision_facts(plain)
    assert (facts.threshold, facts.before, facts.folds_differ) == (None, [], False)
    assert "decision" not in pictures_of(facts_of(plain))


def test_intervals_of_numbers_say_how_wide_they_are():
    sources = made_of(noisy("regression", rows=400), "ridge").sources
    (sentence,) = decision_sentences(sources)
    assert sentence.startswith("Its prediction intervals, made for 90")
    assert sentence.endswith(" wide on average.")


@pytest.mark.parametrize(("high", "said"), [(0.89, True), (0.91, False)])
def test_a_coverage_that_is_below_the_level_beyond_chance_is_said_to_be(high, said):
    sources = made_of(noisy("regression", rows=200), "ridge").sources
    metrics = sources.metrics | {"coverage": 0.85, "coverage_low": 0.8, "coverage_high": high}
    (sentence,) = decision_sentences(replace(sources, metrics=metrics))
    assert (", fewer than they are made for" in sentence) == said
