"""What a report shows of the training: history, learning curve, folds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from lockstep.steps.diagnosing.diagnosis import Iterations, LearningPoint, OfClasses
from lockstep.steps.reporting.metric_titles import TITLES
from lockstep.steps.reporting.plotted import Curve
from lockstep.steps.reporting.sources import Sources, Tally
from lockstep.steps.reporting.wording import number, percent, score, visible, with_article

FORESTS = ("random_forest", "extra_trees")
LAST = 0.1
"""The share of the iterations that the end of a training history is."""


@dataclass(frozen=True)
class TrainingFacts:
    """The training.

    Attributes:
        history: the loss by iteration, on each part of the rows.
        history_says: what to see in it, in sentences.
        loss: what kind of loss it is.
        metric: the key of the metric of the folds and the learning curve.
        folds: its value in each fold.
        folds_rows: the rows that a fold's model was fitted on, on average.
        folds_say: where the test rows lie among the folds, in a sentence.
        test_score: the metric on the test rows.
        learning: the learning curve.
        learning_says: what to see in it, in sentences.
        vote: the members' weights and losses; None of a model that is no vote.
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
    learning_says: str
    vote: Tally | None


def training_facts(given: Sources) -> TrainingFacts:
    """What there is to show of the training."""
    metric, history = given.diagnosis.metric, given.plots.history
    rows = [fold for fold in given.plots.folds if fold.metric == metric]
    folds, test_score = [fold.value for fold in rows], float(given.metrics[metric])
    folds_rows = round(sum(fold.n_train for fold in rows) / len(rows)) if rows else 0
    parts = {part: [row for row in history if row.part == part] for part in dict.fromkeys(row.part for row in history)}
    return TrainingFacts(
        history=[
            Curve(visible(part), [float(row.iteration) for row in rows], [row.loss for row in rows], None)
            for part, rows in parts.items()
        ],
        history_says=history_says(
            {part: [(row.iteration, row.loss) for row in rows] for part, rows in parts.items()},
            given.model.model,
            given.diagnosis.iterations,
        ),
        loss=_loss(given),
        metric=metric,
        folds=folds,
        folds_rows=folds_rows,
        folds_say=folds_say(folds, test_score, _not_a_fold(given)),
        test_score=test_score,
        learning=given.diagnosis.learning,
        learning_says=learning_says(given.diagnosis.learning, folds, folds_rows, with_article(TITLES[metric])),
        vote=given.sidecar.vote,
    )


def history_says(losses: dict[str, list[tuple[int, float]]], model: str, iterations: Iterations | None) -> str:
    """What to see in the loss, in sentences that these numbers bear out.

    Args:
        losses: by part of the rows: (iteration, loss).
        model: the model type.
        iterations: see Diagnosis.
    """
    train = losses.get("train", [])
    if len(train) < 2:
        return ""
    forest, ended = model in FORESTS, iterations is not None and iterations.taken < iterations.limit
    said = [_fall_says(train, converges=not forest)]
    if iterations is not None and ended:
        limits = f"{iterations.taken:,} of at most {iterations.limit:,} iterations"
        said.append(f"The fit ended itself after {limits}: a higher limit changes nothing.")
    if forest:
        said.append("Each tree is grown on its own; the loss is that of the mean of the trees so far.")
    elif (others := losses.get("validation", [])) and len(others) > 1:
        (best, least), (end, at_end) = min(others, key=lambda entry: entry[1]), others[-1]
        if best < end:
            where = f"least after {best:,} iterations, {number(least)}, and {number(at_end)} at the end"
            said.append(f"On the validation rows it is {where}: fewer may do.")
        else:
            hint = "" if ended else ": more iterations may help"
            said.append(f"On the validation rows it is least at the end, {number(least)}{hint}.")
    return " ".join(said)


def _fall_says(train: Sequence[tuple[int, float]], *, converges: bool) -> str:
    """How far the loss on the training rows has fallen, and whether it has stopped to fall."""
    (_, first), (end, last) = train[0], train[-1]
    if last > first:
        says = f"It ends above where it began ({number(first)}, then {number(last)})"
        return f"{says}: the fit has not converged. A smaller learning rate may help." if converges else f"{says}."
    if last == first:
        return f"On the training rows it begins and ends at {number(last)}."
    says = f"On the training rows it falls from {number(first)} to {number(last)}"
    before = [loss for iteration, loss in train if iteration <= (1 - LAST) * end]
    if end * LAST < 1 or not before or not last <= before[-1] <= first:  # it went up and down
        return f"{says}."
    share = percent((before[-1] - last) / (first - last))
    return f"{says}; {share} of its fall is in the last tenth of the iterations."


def learning_says(points: Sequence[LearningPoint], folds: Sequence[float], folds_rows: int, metric: str) -> str:
    """What the last two points of the learning curve show, the cross-validation being one of them if it had more rows:
    more rows helped if the metric, in words, rose by more than it is spread."""
    if not points:
        return ""
    ends = [(point.rows, point.others, point.others_std, point.fits) for point in points]
    if folds and folds_rows > ends[-1][0]:
        ends.append((folds_rows, fmean(folds), pstdev(folds), len(folds)))
    fitted = f"With {points[-1].rows:,} rows it is {score(points[-1].fitted)} on the rows fitted."
    if len(ends) < 2:
        return f"On other rows, {metric} is {score(points[-1].others)}. {fitted}"
    (rows, before, *old), (more, after, *new) = ends[-2:]
    (old_spread, old_fits), (new_spread, new_fits) = old, new
    change = f"From {rows:,} to {more:,} rows, {metric} on other rows goes from {score(before)} to {score(after)}"
    if min(old_fits, new_fits) < 2:
        verdict = ""
    elif abs(after - before) <= max(old_spread, new_spread):
        verdict = ", by no more than it is spread: whether more rows would help cannot be seen"
    elif after > before:
        verdict = ", by more than it is spread: more rows may help"
    else:
        verdict = ", by more than it is spread: more rows did not help"
    return f"{change}{verdict}. {fitted}"


def _not_a_fold(given: Sources) -> str:
    """What makes the test rows unlike one more fold, in words; "" if nothing does."""
    decision = given.sidecar.decision
    if given.diagnosis.metric in ("accuracy", "balanced_accuracy"):
        if decision.threshold is not None:
            return "the model decides about them by its threshold, and about the folds by its own rule"
        if decision.calibrate != "none":
            return "the model decides about them by calibrated probabilities, and about the folds by its own"
    return "" if given.diagnosis.time is None else "they are later ones"


def folds_say(folds: Sequence[float], test: float, unlike: str = "") -> str:
    """Where the test rows lie among the folds. Were they one more of n + 1 exchangeable folds, they would lie outside
    the others with a probability of 2 / (n + 1); ``unlike`` says, in words, why they are not one."""
    if len(folds) < 2:
        return ""
    if unlike:
        place = "below all of" if test < min(folds) else "above all of" if test > max(folds) else "among"
        return f"The test rows lie {place} them; {unlike}."
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
