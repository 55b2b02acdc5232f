"""``python -m lockstep sweep PROBLEM``: cross-validate every model type that can do the problem's task, and rank them
as ``leaderboard`` does.

Each is a DVC experiment of its own, named <problem>-<model type> and run in a copy of the workspace (dvc exp run
--temp): what lies in the workspace stays as it is. The model type of params.yaml is tried with the hyperparameters that
are there, the others with their libraries' defaults, none with a search (stage tune); what a model type cannot take as
it is (preprocess.encode and numeric_impute: native) is encoded and imputed for it. They are trained but not
evaluated, so that the test rows can judge the one that you keep. A second sweep from the same commit replaces the
experiments of the first, and says which before it starts ('dvc exp rename' keeps one).
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from lockstep.api import ModelConfig
from lockstep.commands import command_parser
from lockstep.comparing.leaderboard.ranking import Leaderboard, find_leaderboards, suited_metric
from lockstep.comparing.leaderboard.words import report
from lockstep.comparing.rendering import show, visible
from lockstep.kernel.errors import SettingsError, nearest
from lockstep.kernel.log import duration
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import Task, read_problems
from lockstep.learning.metrics import AUTO, find_metric, qualified
from lockstep.learning.model_types import CUSTOM, MODELS
from lockstep.learning.own_metrics import check_metrics
from lockstep.repository import git
from lockstep.repository.dvc_process import run_dvc
from lockstep.repository.experiments import experiments_of, read_experiment


class TriedModel(NamedTuple):
    """A model type that was tried.

    Attributes:
        model: the model type.
        experiment: the name of its experiment.
        scores: what cross_validate wrote: mean and standard deviation (n - 1) of each metric over the folds.
        failure: why there are none, or "".
    """

    model: str
    experiment: str
    scores: dict[str, Any]
    failure: str

    @property
    def scored(self) -> set[str]:
        """The metrics that every fold has."""
        return {name.removesuffix("_mean") for name in self.scores if name.endswith("_mean")}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiments and print the table; 1 if one failed, 130 if it was interrupted."""
    parser = command_parser("sweep", __doc__)
    parser.add_argument("problem", help="the problem's name in params.yaml")
    parser.add_argument("--models", nargs="+", metavar="TYPE", help="these model types only")
    parser.add_argument(
        "--metric",
        help="rank by this one (default: tune.metric of the problem; for auto, log_loss, of a rare class its average "
        "precision, in a regression rmse)",
    )
    args = parser.parse_args(argv)

    config = ModelConfig.from_params(args.problem, PARAMS)
    own = check_metrics(config.sections.evaluate.metrics, config.task_type)
    asked = args.metric or config.sections.tune.metric
    metric = None if asked == "auto" else find_metric(asked, config.task_type, "--metric", own)
    models = _models(config.task_type, config.model_type, args.models)
    head = git.output("rev-parse", "HEAD").strip()
    there = experiments_of(head)
    replaced = [name for model in models if (name := f"{args.problem}-{model}") in there]
    if replaced:
        noun = "experiment" if len(replaced) == 1 else "experiments"
        print(f"replaces the {noun} {', '.join(replaced)}", file=sys.stderr)
    found: list[TriedModel] = []
    interrupted, began = False, time.monotonic()
    for number, model in enumerate(models, 1):
        print(f"{model} ({number} of {len(models)}) ...", file=sys.stderr)
        try:
            found.append(_run(args.problem, model, config.model_type, head))
            spent = time.monotonic() - began
            left = f", about {duration(spent / number * (len(models) - number))} left" if number < len(models) else ""
            said = _said(found, config.task_type, metric)
            print(f"  {said} ({duration(spent)} so far{left})", file=sys.stderr)
        except KeyboardInterrupt:
            interrupted = True
            name = f"{args.problem}-{model}"
            if experiments_of(head).get(name) != there.get(name):  # the interrupt came too late for DVC: it is done
                found.append(TriedModel(model, name, _scores(args.problem, name, head), ""))
            print("interrupted: what follows is of the models that were done", file=sys.stderr)
            break
    _report(args.problem, found, metric)
    return 130 if interrupted else int(any(candidate.failure for candidate in found))


def _models(task: Task, given: str, wanted: Sequence[str] | None) -> list[str]:
    """The model types to try, the given one first. Raises SettingsError for one that cannot do the task."""
    able = [name for name, entry in MODELS.items() if task in entry.estimators]
    able += [CUSTOM] if given == CUSTOM else []
    for name in wanted or ():
        if name not in able:
            near = ", ".join(nearest(name, able))
            raise SettingsError(f"--models: '{name}' is no model type for {task}. Allowed: {near}.")
    return sorted(set(wanted or able), key=lambda name: (name != given, able.index(name)))


def _run(problem: str, model: str, given: str, head: str) -> TriedModel:
    """Cross-validate and train one model type as an experiment (dvc exp apply needs a model to check out)."""
    name = f"{problem}-{model}"
    command = ["exp", "run", "--temp", "--force", "--name", name]
    command += [word for change in _changes(problem, model, given) for word in ("--set-param", change)]
    done = run_dvc([*command, f"cross_validate@{problem}", f"train@{problem}"], interruptible=True)
    if done.code:
        return TriedModel(model, name, {}, done.reason)
    return TriedModel(model, name, _scores(problem, name, head), "")


def _changes(problem: str, model: str, given: str) -> list[str]:
    """What --set-param is told, to try one model type in place of the given one."""
    section, preprocess = f"problems.{problem}", _section(problem, "preprocess")
    changes = [f"{section}.tune.trials=0"] if "trials" in _section(problem, "tune") else []
    if model == given:
        return changes
    changes.append(f"{section}.train.model={model}")
    # Of another model type: its defaults instead. DVC takes an empty key for one that is not there to be removed.
    train = _section(problem, "train")
    changes += [f"~{section}.train.{key}" for key in ("hyperparameters", "estimator") if train.get(key) is not None]
    kind = MODELS[model]
    for key, able in (("numeric_impute", kind.native_missing), ("encode", kind.native_categories)):
        if preprocess.get(key) == "native" and not able:
            changes.append(f"~{section}.preprocess.{key}")
    return changes


def _scores(problem: str, experiment: str, head: str) -> dict[str, Any]:
    """What stage cross_validate wrote in an experiment."""
    scores: dict[str, Any] = json.loads(read_experiment(head, experiment, f"metrics/{problem}_cross_validation.json"))
    return scores


def _section(problem: str, section: str) -> dict[str, Any]:
    """As params.yaml has it, defaults not filled in: --set-param changes only what is there."""
    return read_problems(PARAMS)[problem].get(section) or {}


def _said(found: Sequence[TriedModel], task: Task, metric: str | None) -> str:
    """What came of the last model type, in a line: its score over the folds, or why there is none."""
    *_, candidate = found
    if candidate.failure:
        return f"failed: {candidate.failure}"
    metric = metric or suited_metric(task, [one.scored for one in found if not one.failure])
    if metric not in candidate.scored:
        return f"no {metric} in every fold: --metric {AUTO[task]} ranks it, too"
    mean, std = candidate.scores[f"{metric}_mean"], candidate.scores[f"{metric}_std"]
    return f"{qualified(metric, candidate.scores.get('average'))} {mean:.4g} \N{PLUS-MINUS SIGN} {std:.2g}"


def _report(problem: str, found: list[TriedModel], metric: str | None) -> None:
    """Print the leaderboard of the experiments, and what to type next."""
    names = [candidate.experiment for candidate in found if not candidate.failure]
    boards = find_leaderboards(problem, metric, names) if names else None
    if boards is not None:
        show(report(boards, visible))
    for candidate in found:
        if candidate.failure:
            print(f"{candidate.model} is not ranked: {candidate.failure}")
    board = boards.problems[problem] if boards is not None else None
    if not isinstance(board, Leaderboard) or board.entries[0].place is None:
        return
    best = next(name for name in names if name in board.entries[0].names)
    scores = f"metrics/{problem}_cross_validation.json:{board.metric}"
    columns = f"--drop '.*' --keep '(Experiment|problems.{problem}.train.model$|{scores}_)'"
    order = f"--sort-by {scores}_mean --sort-order {'asc' if board.lower_is_better else 'desc'}"
    print(
        "The best of many is optimistic: let the test rows judge the one you keep.\n\n"
        f"Keep one:       dvc exp apply {best} && dvc repro\n"
        f"On a branch:    dvc exp branch {best} try-{best}\n"
        f"Beside others:  dvc exp show {columns} {order}\n"
        f"Drop them all:  dvc exp remove {' '.join(names)}"
    )
