"""Names of model files."""

from lockstep.learning.model_file import model_file_name


def test_names():
    assert model_file_name("random_forest", "classifier", 1) == "random_forest_classifier_v1.joblib"
