"""The result of a model, in sentences: how good, how sure, against what, and whether the cross-validation agrees."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lockstep.kernel.errors import plural
from lockstep.learning.metrics import RARE_CLASS_METRICS, is_lopsided, metric_of, qualified
from lockstep.steps.reporting.decisions import decision_sentences
from lockstep.steps.reporting.metric_titles import RATIOS, TITLES
from lockstep.steps.reporting.sources import Sources
from lockstep.steps.reporting.wording import number, percent, ratio, score, spread, visible, within_sentence

UNEVEN = 0.05
"""By so much the accuracy may exceed the balanced accuracy before the result says so."""

_FREQUENT, _AS_OFTEN = 0.1, 0.9
"""Equal rows are the nature of a table if at least the first share of the training rows equal another one, and at least
the second times the share of the test rows that do."""


class ShownMetric(NamedTuple):
    """One metric on the test rows; ``low``, ``high``: its 95 % interval; the others: the baseline, the folds."""

    key: str
    name: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None
    folds_mean: float | None
    folds_std: float | None

    @property
    def shown(self) -> tuple[str, str, str, str]:
        """The value, its interval, the baseline, the folds, as a table shows them; "" for none."""
        form = ratio if self.key in RATIOS else score
        interval = "" if self.low is None else f"{form(self.low)} to {form(self.high)}"
        baseline = "" if self.baseline is None else form(self.baseline)
        return form(self.value), interval, baseline, spread(self.folds_mean, self.folds_std)


@dataclass(frozen=True)
class ResultFacts:
    """The result; ``average``: how precision, recall and F1 are averaged over the classes, None in a regression."""

    sentences: list[str]
    metrics: list[ShownMetric]
    average: str | None


def result_facts(given: Sources) -> ResultFacts:
    """The sentences and the metrics."""
    average = str(given.metrics["average"]) if "average" in given.metrics else None
    target = next(column for column in given.profile.columns if column.column == given.sidecar.target)
    unit = visible(target.unit, 40)
    folds = {key: value for key, value in given.cross_validation.items() if isinstance(value, float)}
    rare = [key for key in TITLES if key in RARE_CLASS_METRICS]
    has_rare = any(row.metric in RARE_CLASS_METRICS for row in given.plots.intervals)
    order = list(dict.fromkeys([*([*rare, "roc_auc"] if has_rare else []), *TITLES]))
    metrics = [
        ShownMetric(
            key=row.metric,
            name=qualified(row.metric, average, unit, TITLES.get(row.metric, row.metric)),
            value=row.value,
            low=row.low,
            high=row.high,
            baseline=row.baseline,
            folds_mean=folds.get(f"{row.metric}_mean"),
            folds_std=folds.get(f"{row.metric}_std"),
        )
        for row in sorted(given.plots.intervals, key=lambda row: _place(row.metric, order))
    ]
    by_key = {metric.key: metric for metric in metrics}
    own = _of_classes if given.sidecar.task == "classification" else _of_numbers
    sentences = [
        *own(given, by_key),
        *_worse_than_the_baseline(metrics),
        *decision_sentences(given),
        *_copies(given),
        *_folds(given, by_key),
        *_weighted(given),
    ]
    return ResultFacts(sentences, metrics, average)


def _place(key: str, order: Sequence[str]) -> int:
    """Where a metric stands in a table: one of the user's own behind the others, in the order of the settings."""
    return order.index(key) if key in order else len(order)


def _of_classes(given: Sources, metrics: dict[str, ShownMetric]) -> list[str]:
    main, balanced = metrics["accuracy"], metrics["balanced_accuracy"]
    verdict, baseline = _against_the_baseline(main), "a baseline that always names the most frequent class reaches"
    if is_lopsided(main.baseline):
        return [
            *_of_rare_classes(given, metrics),
            f"The accuracy is {percent(main.value)}{_interval(main, percent)}; {baseline} {percent(main.baseline)}.",
            *verdict,
        ]
    right = sum(row.count for row in given.plots.predictions if row.actual == row.predicted)
    share = f"{_by_weight(given)}an accuracy of {percent(main.value)}{_interval(main, percent)}"
    said = [
        f"Of {_tested(given)}, {right:,} were given the right class: {share}.",
        f"{baseline.capitalize()} {percent(main.baseline)}.",
    ]
    if main.value - balanced.value > UNEVEN:
        said.append(
            "The classes are not found equally well: averaged over them instead of the rows, "
            f"{percent(balanced.value)} (balanced accuracy)."
        )
    return said + verdict


def _of_rare_classes(given: Sources, metrics: dict[str, ShownMetric]) -> list[str]:
    """Sentences with what measures a model where one class has nearly all of the rows: of two classes how the rare
    one is ranked and found; of more, the means over the classes."""
    cells = {(row.actual, row.predicted): row.count for row in given.plots.predictions}
    counts = dict.fromkeys((actual for actual, _ in cells), 0)
    for (actual, _), rows in cells.items():
        counts[actual] += rows
    ranked = sorted(counts, key=lambda name: counts[name])
    if "rare_class_precision" in metrics:  # of two classes, unless that is lopsided by the rows' weights alone
        return _of_the_rare_class(given, metrics, ranked[0], counts[ranked[0]], cells)
    frequent, balanced = ranked[-1], metrics["balanced_accuracy"]
    share = percent(counts[frequent] / sum(counts.values()))
    recall = f"{percent(balanced.value)} of the rows are found{_interval(balanced, percent)}"
    area = _area(metrics, "; the mean of the areas under their ROC curves is")
    return [
        f"Of {_tested(given)}, {share} are of the most frequent class, {visible(frequent, 40)}.",
        f"Of a class, on average, {recall}; by the baseline, {percent(balanced.baseline)} (balanced accuracy){area}.",
    ]


def _of_the_rare_class(
    given: Sources, metrics: dict[str, ShownMetric], rare: str, rows: int, cells: dict[tuple[str, str], int]
) -> list[str]:
    """The sentences about one of two classes, with ``rows`` test rows; cells: {(actual, predicted): rows}."""
    hits, named = cells[rare, rare], sum(count for (_, predicted), count in cells.items() if predicted == rare)
    share, name = rows / int(given.metrics["test_rows"]), visible(rare, 40)
    said = f"Of {_tested(given)}, {rows:,} ({percent(share)}) are of the rarer class, {name}"
    if (precision := metrics.get("rare_class_average_precision")) is not None:
        ranks = f"; the model ranks them with an average precision of {score(precision.value)}"
        random = share if precision.baseline is None else precision.baseline
        said += f"{ranks}{_interval(precision, score)}, against {score(random)} at random,"
    said += f"{_area(metrics, ' and an area under the ROC curve of')}."
    if not named:
        return [said, f"It names {name} for no row, so that none of them is found."]
    precise, found = metrics["rare_class_precision"], metrics["rare_class_recall"]
    by = _by_weight(given)
    rightly = f"{hits:,} of them rightly, {by}a precision of {percent(precise.value)}{_interval(precise, percent)}"
    recall = f"It finds {hits:,} of the {rows:,}, {by}a recall of {percent(found.value)}{_interval(found, percent)}"
    return [said, f"{recall}.", f"It names {name} for {plural(named, 'row')}, {rightly}."]


def _area(metrics: dict[str, ShownMetric], words: str) -> str:
    """The area under the ROC curve behind these words; nothing where there is none."""
    area = metrics.get("roc_auc")
    return "" if area is None else f"{words} {score(area.value)}{_interval(area, score)}"


def _of_numbers(given: Sources, metrics: dict[str, ShownMetric]) -> list[str]:
    main, explained = metrics["mae"], metrics["r2_score"]
    share = percent(explained.value) if explained.value > 0 else "none"  # worse than the mean of the test rows
    off = f"were off by {number(main.value)} on average, {_by_weight(given)}the {within_sentence(main.name)}"
    return [
        f"On {_tested(given)}, the predictions of {visible(given.sidecar.target)} {off}{_interval(main, number)}.",
        f"A baseline that always predicts the mean of the training rows is off by {number(main.baseline)}.",
        f"The model explains {share} of the variance (R² {score(explained.value)}).",
        *_against_the_baseline(main),
    ]


def _by_weight(given: Sources) -> str:
    """Begins what is said of a metric of rows that do not count alike."""
    weight = given.diagnosis.weight
    return "" if weight is None else f"weighted by {visible(weight, 40)}, "


def _tested(given: Sources) -> str:
    return f"{plural(int(given.metrics['test_rows']), 'test row')} kept out of the training"


def _against_the_baseline(main: ShownMetric) -> list[str]:
    """On which side of the baseline the interval of the main metric lies; nothing where there is no interval."""
    if main.low is None or main.high is None or main.baseline is None:
        return []
    above, below = main.low > main.baseline, main.high < main.baseline
    if not (above or below):
        name = within_sentence(main.name)
        return [f"The interval does not exclude the baseline: by {name}, these rows cannot tell the model from it."]
    side = "better" if below == metric_of(main.key).lower_is_better else "worse"
    return [f"The interval lies wholly on the {side} side of the baseline."]


_AS_R2 = ("mse", "rmse")
"""What R² says of a model beside a baseline in other words; of the three its interval allows for how much the target
varies among the rows."""


def _worse_than_the_baseline(metrics: Sequence[ShownMetric]) -> list[str]:
    """By which metrics the model is behind the baseline, and whether their intervals exclude the baseline; of the main
    metric, where it has an interval, _against_the_baseline says that."""
    worse: list[str] = []
    unsure: list[str] = []
    explained = any(metric.key == "r2_score" and metric.low is not None for metric in metrics)
    for metric in metrics:
        signed = -1 if metric_of(metric.key).lower_is_better else 1
        is_said = metric.key in ("accuracy", "mae") and metric.low is not None
        if (
            is_said
            or (metric.key in _AS_R2 and explained)
            or metric.baseline is None
            or signed * metric.value >= signed * metric.baseline
        ):
            continue
        best = metric.high if signed > 0 else metric.low  # the end of the interval that speaks most for the model
        excluded = best is not None and signed * best < signed * metric.baseline
        values = f"({score(metric.value)} against {score(metric.baseline)})"
        (worse if excluded else unsure).append(f"{within_sentence(metric.name)} {values}")
    said = [f"It is worse than the baseline by {', '.join(worse)}."] if worse else []
    if unsure:
        behind = f"By {', '.join(unsure)} it is behind the baseline"
        said.append(f"{behind}, but these rows cannot tell whether it is worse.")
    return said


def _copies(given: Sources) -> list[str]:
    """Some test rows equal training rows; how good the model is on the others; and whether training rows equal each
    other as often, which rows of few columns with few values do. No program knows whether equal rows are one thing."""
    copies, rows = given.diagnosis.copies, int(given.metrics["test_rows"])
    if not copies.rows:
        return []
    weight = given.diagnosis.weight
    compared = f"every column{' that is not left out' if given.profile.dropped else ''}"
    compared += "" if weight is None else f" (but {visible(weight, 40)})"
    equal = f"{'equals a training row' if copies.rows == 1 else 'equal training rows'} in {compared}, target included"
    if copies.error_of_others is None:
        which = "The only test row" if rows == 1 else f"All {rows:,} test rows"
        what = "it is the same thing" if rows == 1 else "they are the same things"
        said = [f"{which} {equal}: if {what}, nothing here says how good the model is on new ones."]
    else:
        others = copies.error_of_others
        classes = given.sidecar.task == "classification"
        alone = f"an accuracy of {percent(1 - others)}" if classes else f"an error of {number(others)}"
        which = f"{copies.rows:,} of the test rows ({percent(copies.rows / rows)})"
        said = [f"{which} {equal}; without them: {alone}."]
    among = copies.among_training
    if among is not None and among >= max(_FREQUENT, _AS_OFTEN * copies.rows / rows):
        said.append(
            f"Equal rows are frequent in this table: {percent(among)} of the training rows equal another one. If equal "
            "rows are different things, new rows will be like them, too."
        )
    return said


def _folds(given: Sources, metrics: dict[str, ShownMetric]) -> list[str]:
    """What the cross-validation gave, where it gave anything."""
    task = given.sidecar.task
    main = metrics["accuracy" if task == "classification" else "mae"]
    if is_lopsided(main.baseline) and task == "classification":
        main = metrics.get("roc_auc", metrics["balanced_accuracy"])
    if main.folds_mean is None:
        return []
    n_folds = sum(fold.metric == main.key for fold in given.plots.folds)
    mean_and_std = (
        f"{percent(main.folds_mean)} ± {percent(main.folds_std)}"
        if main.key in ("accuracy", "balanced_accuracy")
        else spread(main.folds_mean, main.folds_std)
    )
    name = within_sentence(main.name)
    chosen = given.best_trial is not None and given.best_trial.hyperparameters
    searched = "; optimistic, since the same rows chose the hyperparameters." if chosen else "."
    where = f"Cross-validation on the training rows ({plural(n_folds, 'fold')})"
    article = "an" if name[0] in "aeiou" else "a"
    return [f"{where} gives {article} {name} of {mean_and_std} (mean and standard deviation of the folds){searched}"]


def _weighted(given: Sources) -> list[str]:
    """That the classes were weighted, and what this makes of the probabilities, where the model has any."""
    if given.sidecar.settings.get("train", {}).get("class_weight") != "balanced":
        return []
    shifted = "log_loss" in given.metrics and given.sidecar.decision.calibrate == "none"
    probabilities = ": its probabilities are those of such rows, not of the data" if shifted else ""
    return [f"It was trained as if all classes were equally frequent (train.class_weight: balanced){probabilities}."]


def _interval(metric: ShownMetric, form: Callable[[Any], str]) -> str:
    if metric.low is None:
        return ""
    return f" (95\N{NO-BREAK SPACE}% interval {form(metric.low)} to {form(metric.high)})"
