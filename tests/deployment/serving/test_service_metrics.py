"""What a service counts of its predictions, and what of them JSON cannot hold."""

from lockstep.deployment.serving.service import plain_predictions

import numpy as np
import pytest
from servers import need_library


def test_many_values_at_once_are_counted_as_prometheus_counts_one_after_another():
    need_library("prometheus_client", "serve")
    from lockstep.deployment.serving.service_metrics import PROBABILITIES, VALUES, _Distribution

    import prometheus_client

    for edges in (PROBABILITIES, VALUES):
        texts = []
        values = np.array([*edges, 0.05, 0.95, 1e9, -0.0, 0.5])
        for make in (prometheus_client.Histogram, _Distribution):
            registry = prometheus_client.CollectorRegistry()
            if make is _Distribution:
                found = make("name", "about", edges)
                registry.register(found)
                found.observe(values[:3])
                found.observe(values[3:])
            else:
                found = make("name", "about", buckets=edges, registry=registry)
                for value in values.tolist():
                    found.observe(value)
            lines = prometheus_client.generate_latest(registry).decode().splitlines()
            texts.append([line for line in lines if "_created" not in line])
        assert texts[0] == texts[1]


def test_a_model_that_predicts_no_number_is_at_fault():
    with pytest.raises(ValueError, match="'predicted' is no finite number"):
        plain_predictions({"row": np.array([1, 2]), "predicted": np.array([1.5, np.nan])})
