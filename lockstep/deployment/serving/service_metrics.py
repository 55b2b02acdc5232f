"""What a service counts, in the form that Prometheus reads. No label holds a value of a row, but for the classes."""

import math
from collections import Counter as Counts
from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from lockstep.deciding.decision import NumberIntervals
from lockstep.deployment.serving.identity import Identity
from lockstep.deployment.serving.mistakes import Mistake
from lockstep.deployment.serving.predicting import RowScorer
from lockstep.learning.scoring import PROBABILITY

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
PROBABILITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
VALUES = (-1e6, -1e3, -1, 0, 1, 1e3, 1e6)


class _Distribution(Collector):  # type: ignore[misc]
    """A histogram that is given many values at once: prometheus-client's own takes them one by one, which of 1,000 rows
    takes a tenth of the whole answer.

    Args:
        name, about: of the metric.
        edges: the upper ends of its buckets, in ascending order, without the infinite one.
    """

    def __init__(self, name: str, about: str, edges: Sequence[float]) -> None:
        self._name, self._about, self._edges = name, about, np.array(edges, dtype="float64")
        self._counts, self._sum, self._lock = np.zeros(len(edges) + 1, dtype=np.int64), 0.0, Lock()

    def observe(self, values: np.ndarray) -> None:
        """Count (n_values,) numbers."""
        counts = np.bincount(np.searchsorted(self._edges, values), minlength=len(self._counts))
        with self._lock:
            self._counts += counts
            self._sum += float(np.sum(values))

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        with self._lock:
            totals, whole = np.cumsum(self._counts).tolist(), self._sum
        found = Metric(self._name, self._about, "histogram")
        for edge, total in zip([*self._edges.tolist(), math.inf], totals, strict=True):
            found.add_sample(f"{self._name}_bucket", {"le": floatToGoString(edge)}, total)
        found.add_sample(f"{self._name}_count", {}, totals[-1])
        if self._edges[0] >= 0:  # OpenMetrics: with negative values, a sum is no counter
            found.add_sample(f"{self._name}_sum", {}, whole)
        yield found


class ServiceMetrics:
    """The counts of one service.

    Args:
        scorer, identity: the model.
    """

    def __init__(self, scorer: RowScorer, identity: Identity) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "lockstep_requests", "Answers, by path and HTTP status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "lockstep_request_seconds",
            "From a request to its whole answer.",
            ["path"],
            buckets=SECONDS,
            registry=registry,
        )
        self.rows = Histogram("lockstep_rows", "Rows scored in a request.", buckets=ROWS, registry=registry)
        self.refused = Counter(
            "lockstep_refused_requests", "Requests that were refused, by why.", ["reason"], registry=registry
        )
        self.refused_rows = Counter(
            "lockstep_refused_rows", "Rows that broke a rule, by which.", ["reason"], registry=registry
        )
        self.warnings = Counter("lockstep_warnings", "Warnings that answers gave of their rows.", registry=registry)
        model = Gauge("lockstep_model", "The model that serves.", ["problem", "sha256", "commit"], registry=registry)
        model.labels(identity.problem, identity.sha256, identity.commit or "").set(1)
        self._classes: Counter | None = None
        if scorer.task == "classification":
            self._classes = Counter(
                "lockstep_predictions", "Rows that were given each class.", ["predicted"], registry=registry
            )
            for name in scorer.model.classes_:
                self._classes.labels(str(name))
            name, about = "lockstep_predicted_probability", "The probability of the most probable class."
            self._values = _Distribution(name, about, PROBABILITIES)
        else:
            intervals = scorer.decision.intervals
            edges = intervals.edges if isinstance(intervals, NumberIntervals) else []
            # The tenths of the out-of-fold predictions, where the model knows them: a shift moves rows between them.
            self._values = _Distribution("lockstep_predicted_value", "Predicted numbers.", edges or VALUES)
        registry.register(self._values)

    def scored(self, columns: Mapping[str, np.ndarray]) -> None:
        """Count the predictions of a request: what ``predicting.score`` gives of its rows."""
        values = columns["predicted"]
        self.rows.observe(len(values))
        if self._classes is not None:
            for name, count in Counts(map(str, values.tolist())).items():
                self._classes.labels(name).inc(count)
            probabilities = [column for name, column in columns.items() if name.startswith(PROBABILITY)]
            values = np.max(probabilities, axis=0) if probabilities else np.array([])
        self._values.observe(values)

    def refuse(self, mistakes: Iterable[Mistake]) -> None:
        """Count a request that was refused."""
        found = list(mistakes)
        for reason in sorted({mistake.reason for mistake in found}):
            self.refused.labels(reason).inc()
        for mistake in found:
            if mistake.row_count:
                self.refused_rows.labels(mistake.reason).inc(mistake.row_count)

    def text(self) -> bytes:
        """All counts, as Prometheus reads them."""
        return bytes(generate_latest(self._registry))
