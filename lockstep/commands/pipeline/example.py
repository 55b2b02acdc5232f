"""``python -m lockstep example``: the Python API at work, without DVC, on the two problems that Lockstep ships."""

from collections.abc import Sequence

from lockstep.api import ModelConfig, run_pipeline
from lockstep.commands import command_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Train a random forest on iris and gradient boosting on housing; print where the models are and how good."""
    parser = command_parser("example", __doc__)
    parser.add_argument(
        "--models", default="models", metavar="FOLDER", help="save the models here (default: %(default)s)"
    )
    args = parser.parse_args(argv)

    iris = ModelConfig(
        model_type="random_forest",
        task_type="classification",
        hyperparameters={"n_estimators": 100, "max_depth": 10},
        models=args.models,
    )
    result = run_pipeline("data/raw/iris.csv", iris)
    print(f"{result.model_path}: accuracy {result.metrics['accuracy']:.3f}, F1 {result.metrics['f1_score']:.3f}")

    housing = ModelConfig(
        model_type="gradient_boosting",
        task_type="regression",
        hyperparameters={"n_estimators": 200, "learning_rate": 0.1},
        drop=["avalue"],  # the assessor's valuation of the same house: a leak
        models=args.models,
    )
    _, metrics, path, *_ = run_pipeline("data/raw/housing.csv", housing)
    print(f"{path}: R2 {metrics['r2_score']:.3f}, mean absolute error {metrics['mae']:,.0f} USD")
    return 0
