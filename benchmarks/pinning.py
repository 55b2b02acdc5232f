"""What pinning the processor's choices (lockstep/kernel/portable.py) costs in speed, as a ratio per model type.

Fits each model type on a table of numbers and predicts it, with the pinning and without, in processes of their own that
take turns, so that a slow moment of the machine falls on both sides. A ratio above 1 means that pinning is slower.

    python benchmarks/pinning.py --repeat 5
"""

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
WORK = """
import json, sys, time, warnings
if sys.argv[1] == "plain":
    import numpy
sys.path.insert(0, sys.argv[2])
import lockstep
import numpy as np
from lockstep.learning.model_types import KINDS, MODELS
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.kernel.portable import shortcoming
from lockstep.learning.scoring import predict

warnings.simplefilter("ignore")
if (shortcoming() is None) != (sys.argv[1] == "pinned"):
    sys.exit(f"this machine cannot be pinned: {shortcoming()}")
few = {"gradient_boosting": {"n_estimators": 10}, "mlp": {"max_iter": 5}, "random_forest": {"n_estimators": 8},
       "extra_trees": {"n_estimators": 8}}
random = np.random.default_rng(0)
rows = int(sys.argv[3])
X = random.normal(size=(rows, 20))
y = X[:, 0] - X[:, 1] ** 2 + random.normal(size=rows)
seconds = {}
for model, entry in MODELS.items():
    for task in entry.estimators:
        n = min(rows, 4_000) if model == "svm" else rows
        labels = (y > 0) if task == "classification" else y
        settings = TrainSettings(model=model, kind=KINDS[task], version=1, hyperparameters=few.get(model, {}))
        estimator = build_estimator(settings, task)
        start = time.perf_counter()
        fit_estimator(estimator, EncodedRows(X[:n], labels[:n]), settings, n_jobs=-1)
        predict(estimator, X[: min(n, 4_000)], task)
        seconds[f"{model}/{task}"] = time.perf_counter() - start
print(json.dumps(seconds))
"""


def measure(side: str, rows: int) -> dict[str, float]:
    """{model type/task: seconds of fitting and predicting} in a new process; ``side`` is "pinned" or "plain"."""
    names = ("OPENBLAS_", "NPY_", "ARROW_", "OMP_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    done = subprocess.run(
        [sys.executable, "-c", WORK, side, str(ROOT), str(rows)], env=clean, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"ERROR: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def report(seconds: dict[str, dict[str, list[float]]]) -> str:
    """The result as Markdown, one row per model type."""
    lines = ["| model type | task | plain, s | pinned, s | ratio |", "|---|---|---|---|---|"]
    ratios = []
    for name, plain in seconds["plain"].items():
        one, other = median(plain), median(seconds["pinned"][name])
        ratios.append(other / one)
        model, task = name.split("/")
        lines.append(f"| `{model}` | {task} | {one:.3f} | {other:.3f} | {ratios[-1]:.2f} |")
    lines.append(f"| median | | | | {median(ratios):.2f} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="repetitions (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="of the table (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.repeat < 1 or args.rows < 100:
        parser.error("--repeat must be at least 1, --rows at least 100")
    seconds: dict[str, dict[str, list[float]]] = {"plain": defaultdict(list), "pinned": defaultdict(list)}
    for number in range(1, args.repeat + 1):
        print(f"repetition {number} of {args.repeat}", file=sys.stderr)
        for side, own in seconds.items():
            for name, value in measure(side, args.rows).items():
                own[name].append(value)
    print(report(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
