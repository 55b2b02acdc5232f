"""The facts of a report: every number and sentence that the page and the model card show, gathered and bounded here.

The templates put these facts into words and the pictures draw them; neither computes any. Every text that comes from
the data (names of columns, classes, levels, cells) has passed ``wording.visible`` in this folder, so that it is one
short line.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from lockstep.kernel.settings import Task
from lockstep.learning.metrics import ALL
from lockstep.learning.search_result import by_name
from lockstep.steps.diagnosing.diagnosis import Dependence, OfClasses, Slices, Worst, WorstRow
from lockstep.steps.reporting.classification import ClassificationFacts, classification_facts
from lockstep.steps.reporting.data import CheckFacts, DataFacts, check_facts, data_facts
from lockstep.steps.reporting.decisions import DecisionFacts, decision_facts
from lockstep.steps.reporting.metric_titles import TITLES
from lockstep.steps.reporting.regression import RegressionFacts, regression_facts
from lockstep.steps.reporting.result import ResultFacts, result_facts
from lockstep.steps.reporting.sources import FileFacts, Importance, Sources
from lockstep.steps.reporting.training import TrainingFacts, training_facts
from lockstep.steps.reporting.wording import number, visible, with_article

import msgspec

MAX_FEATURES = 15
"""Features whose importance is shown."""
MAX_SENTENCE = 600
"""Characters of a sentence of the settings."""
CHOSEN = " (chosen by the search)"


@dataclass(frozen=True)
class FeatureFacts:
    """The features.

    Attributes:
        importance: of the most important ones.
        unit: what that is, such as "rise of the log loss".
        n_importance: how many features there are.
        n_without_importance: how many of them do no harm when they are shuffled, on average.
        dependence: how the prediction depends on the top ones.
    """

    importance: list[Importance]
    unit: str
    n_importance: int
    n_without_importance: int
    dependence: list[Dependence]


@dataclass(frozen=True)
class WeakSpots:
    """Where the model errs most; None for what was not asked for."""

    slices: Slices | None
    worst: Worst | None


class SettingFact(NamedTuple):
    """A setting of params.yaml: its section, key and value."""

    section: str
    key: str
    value: str


@dataclass(frozen=True)
class CardFacts:
    """The model card: what the model is for, what it is, how it was made; ``versions``: of the libraries that its bytes
    and predictions depend on."""

    intended_use: list[str]
    limits: list[str]
    licence: str
    model: str
    file: FileFacts
    settings: list[SettingFact]
    versions: dict[str, str]


@dataclass(frozen=True)
class Facts:
    """Everything that a report shows. Absent things are empty or None."""

    problem: str
    title: str
    task: Task
    target: str
    estimator: str
    result: ResultFacts
    data: DataFacts
    checks: CheckFacts
    predictions: ClassificationFacts | RegressionFacts
    decision: DecisionFacts
    training: TrainingFacts
    features: FeatureFacts
    weak: WeakSpots
    card: CardFacts


def facts_of(given: Sources) -> Facts:
    """All facts of a report. Pure: the same sources give the same facts."""
    own = given.diagnosis.own
    return Facts(
        problem=given.problem,
        title=visible(given.settings.title or f"{given.sidecar.target} ({given.problem})", 120),
        task=given.sidecar.task,
        target=visible(given.sidecar.target),
        estimator=given.diagnosis.estimator,
        result=result_facts(given),
        data=data_facts(given),
        checks=check_facts(given),
        predictions=classification_facts(given.plots, own)
        if isinstance(own, OfClasses)
        else regression_facts(given.plots, own),
        decision=decision_facts(given),
        training=training_facts(given),
        features=_features(given),
        weak=WeakSpots(_slices(given.diagnosis.slices), _worst(given.diagnosis.worst)),
        card=_card(given),
    )


def _features(given: Sources) -> FeatureFacts:
    importance, metric = given.plots.importance, given.plots.importance[0].metric
    return FeatureFacts(
        importance=[
            msgspec.structs.replace(row, feature=visible(row.feature, 40)) for row in importance[:MAX_FEATURES]
        ],
        unit=f"{'rise' if ALL[metric].lower_is_better else 'fall'} of {with_article(TITLES[metric])}",
        n_importance=len(importance),
        n_without_importance=sum(row.importance <= 0 for row in importance),
        dependence=[
            msgspec.structs.replace(
                entry,
                feature=visible(entry.feature, 40),
                grid=[value if entry.kind in ("number", "date") else visible(value, 44) for value in entry.grid],
                series={visible(name): line for name, line in entry.series.items()},
            )
            for entry in given.diagnosis.dependence
        ],
    )


def _slices(found: Slices | None) -> Slices | None:
    if found is None:
        return None
    worst = [
        msgspec.structs.replace(entry, column=visible(entry.column, 40), level=visible(entry.level))
        for entry in found.worst
    ]
    return msgspec.structs.replace(found, worst=worst)


def _worst(found: Worst | None) -> Worst | None:
    if found is None:
        return None
    rows = [
        WorstRow(
            row=entry.row,
            actual=_target(entry.actual),
            predicted=_target(entry.predicted),
            off=entry.off,
            values=["" if value is None else visible(value, 40) for value in entry.values],
            reasons=[(visible(name, 30), moved) for name, moved in entry.reasons],
        )
        for entry in found.rows
    ]
    return Worst([visible(name, 30) for name in found.features], rows)


def _target(value: Any) -> str:
    return number(value) if isinstance(value, float) else visible(value, 40)


def _card(given: Sources) -> CardFacts:
    sidecar, settings = given.sidecar, given.settings
    return CardFacts(
        intended_use=[visible(sentence, MAX_SENTENCE) for sentence in settings.intended_use],
        limits=[visible(sentence, MAX_SENTENCE) for sentence in settings.limits],
        licence=settings.licence,
        model=given.model.model,
        file=FileFacts(given.model_path, sidecar.size, sidecar.md5, sidecar.sha256),
        settings=_shown_settings(given),
        versions=sidecar.libraries,
    )


def _shown_settings(given: Sources) -> list[SettingFact]:
    """What was set for preprocessing and training; the sidecar leaves the version to the file's name."""
    named = msgspec.to_builtins(given.model)
    sections = {name: dict(values) for name, values in given.sidecar.settings.items()}
    sections["train"] = named | sections.get("train", {})
    chosen = given.best_trial.hyperparameters if given.best_trial else {}
    found = []
    for section, settings in sections.items():
        for key, value in settings.items():
            if isinstance(value, dict):
                found += [
                    SettingFact(section, f"{key}.{name}", _value(entry) + (CHOSEN if name in chosen else ""))
                    for name, entry in sorted(by_name(value).items())
                ]
            else:
                found.append(SettingFact(section, key, _value(value)))
    return found


def _value(value: Any) -> str:
    return "none" if value is None else visible(str(value), 80)
