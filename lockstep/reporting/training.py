"""What a report shows of the training: history, learning curve, folds."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.diagnosing.diagnosis import LearningPoint, OfClasses
from lockstep.learning.metrics import AUTO
from lockstep.reporting.plotted import Curve
from lockstep.reporting.sources import Sources
from lockstep.reporting.wording import number, percent, visible


@dataclass(frozen=True)
class TrainingFacts:
    """The training.

    Attributes:
        history: the loss by iteration, on each part of the rows.
        history_says: what to see in it, in a sentence.
        loss: what kind of loss it is.
        metric: the key of the metric of the folds and the learning curve.
        folds: its value in each fold.
        folds_rows: the rows that a fold's model was fitted on, on average.
        folds_say: where the test rows lie among the folds, in a sentence.
        test_score: the metric on the test rows.
        learning: the learning curve.
    """

    history: list[Curve]
    history_says: str
    loss: str
    metric: str
    folds: list[float]
    folds_rows: int
    folds_say: str
    test_score: float
    learning: list[LearningPoint]


def training_facts(given: Sources) -> TrainingFacts:
    """What there is to show of the training."""
    metric, history = AUTO[given.sidecar.task], given.plots.history
    rows = [fold for fold in given.plots.folds if fold.metric == metric]
    folds, test_score = [fold.value for fold in rows], float(given.metrics[metric])
    parts = {part: [row for row in history if row.part == part] for part in dict.fromkeys(row.part for row in history)}
    return TrainingFacts(
        history=[
            Curve(visible(part), [float(row.iteration) for row in rows], [row.loss for row in rows], None)
            for part, rows in parts.items()
        ],
        history_says=history_says([row.loss for row in parts.get("train", [])], given.model.model),
        loss=_loss(given),
        metric=metric,
        folds=folds,
        folds_rows=round(sum(fold.n_train for fold in rows) / len(rows)) if rows else 0,
        folds_say=folds_say(folds, test_score),
        test_score=test_score,
        learning=given.diagnosis.learning,
    )


def history_says(losses: Sequence[float], model: str) -> str:
    """What to see in the training loss, in a sentence."""
    if len(losses) < 2:
        return ""
    if losses[-1] > losses[0]:
        ends = f"It ends above where it began ({number(losses[0])}, then {number(losses[-1])})"
        return f"{ends}: the fitting has not converged. A smaller learning rate may help."
    if model in ("random_forest", "extra_trees"):
        return "Each tree is grown on its own; once the mean of them is flat, more trees change nothing."
    return "Still falling at the end: more iterations may help."


def folds_say(folds: Sequence[float], test: float) -> str:
    """Where the test rows lie among the folds. Were they one more of n + 1 exchangeable folds, they would lie outside
    the others with a probability of 2 / (n + 1)."""
    if len(folds) < 2:
        return ""
    if min(folds) <= test <= max(folds):
        return "The test rows lie among them."
    where, chance = "below" if test < min(folds) else "above", percent(2 / (len(folds) + 1), 0)
    return f"The test rows lie {where} all of them; by chance alone, one more fold lies outside in {chance} of cases."


def _loss(given: Sources) -> str:
    if given.model.model == "mlp":
        return "loss, penalty included"
    own = given.diagnosis.own
    if not isinstance(own, OfClasses):
        return "mean squared error"
    return "log loss" if own.probabilities else "share of wrong classes"
