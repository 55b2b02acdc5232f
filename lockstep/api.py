"""The Python API: the functions of the stages, composed without DVC.

The only module that imports stage scripts. It gives the same model, byte for byte, as ``dvc repro`` gives for the same
data and settings.
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.comparing.evaluations import Evaluated, Folds, average_of_folds, name_of_raw
from lockstep.comparing.rendering import Report, ReportBlock, html, metric_value, visible
from lockstep.deciding.decide import decide
from lockstep.deployment.serving.background import background_file, columns_taken, write_background
from lockstep.kernel.errors import DataError, MachineError, SettingsError, did_you_mean, some
from lockstep.kernel.files import Outputs, temporary_beside
from lockstep.kernel.lock_file import md5_of
from lockstep.kernel.log import logger, logging_to
from lockstep.kernel.paths import CONTRACTS, features_of
from lockstep.kernel.portable import shortcoming
from lockstep.kernel.settings import Problem, S, Settings, Task, convert
from lockstep.learning.cross_validation import (
    Averaged,
    Averaging,
    CrossValidateSettings,
    FoldScores,
    PipelineSettings,
    cross_validate,
    fold_summary,
    out_of_fold,
)
from lockstep.learning.estimators import (
    TrainSettings,
    build_estimator,
    check_train,
    check_weights,
    with_best_trial,
)
from lockstep.learning.model_file import model_file_name, sidecar_of
from lockstep.learning.model_types import CUSTOM, KINDS
from lockstep.learning.own_features import defines_features, read_features
from lockstep.learning.own_metrics import check_metrics, make_scorers
from lockstep.learning.preprocessing import PreprocessSettings, check_text_columns
from lockstep.learning.preprocessing import check_settings as check_preprocess
from lockstep.learning.voting import tally_of
from lockstep.reading.contract import Contract, read_contract
from lockstep.reading.loading import LoadSettings, load_file, load_frame, target_of
from lockstep.reading.source import data_path
from lockstep.saving.joblib_file import save_model
from lockstep.saving.sidecar import sidecar
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.evaluating.settings import EvaluateSettings
from lockstep.steps.reporting.sources import ReportSettings
from lockstep.steps.splitting.data_checks import FreeText, NamedFreeText
from lockstep.steps.splitting.parts import SplitSettings, check_settings, split_table
from lockstep.steps.training.history import HISTORY_COLUMNS
from lockstep.steps.tuning.search import check_settings as check_tune
from lockstep.steps.tuning.search import search
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.steps.tuning.trials import NO_SEARCH
from lockstep.tables.table import table_sha256
from stages.cross_validate import FOLD_COLUMNS, fold_rows
from stages.evaluate import evaluate
from stages.load import log_table
from stages.preprocess import describe, preprocess
from stages.split import check_parts, log_parts
from stages.train import describe as describe_model
from stages.train import libraries_of, train

import pandas as pd
from sklearn.pipeline import Pipeline


class Sections(NamedTuple):
    """The checked settings of every stage."""

    load: LoadSettings
    split: SplitSettings
    preprocess: PreprocessSettings
    tune: TuneSettings
    cross_validate: CrossValidateSettings
    train: TrainSettings
    evaluate: EvaluateSettings


@dataclass(frozen=True)
class ModelConfig:
    """What to train, and how; checked when it is made.

    Attributes:
        model_type: one of ``lockstep.learning.model_types.MODELS``, or "custom" with
            ``train={"estimator": "sklearn.linear_model:ElasticNet"}``.
        task_type: "classification" or "regression".
        hyperparameters: of the scikit-learn estimator, passed on as they are.
        target: the column to predict; by default "target" for a classification, "price" for a regression.
        drop: columns to leave out.
        load: how the file is written, for instance ``load={"delimiter": ";", "decimal": ","}``, of no effect on a
            DataFrame; and what becomes of rows without a target or of a rare class, as ``{"missing_target": "drop"}``.
        contract: a data contract that the table must keep, as in data/contracts; None for none.
        features: a file of the repository with features of your own, as ``features/iris.py``; None for none.
        split, preprocess, tune, cross_validate, train, evaluate: further settings, named and checked as in params.yaml,
            for instance ``split={"test_size": 0.3, "seed": 1}`` or ``train={"class_weight": "balanced"}``.
        models: the folder for the model, its metrics and its history; made if absent.
        logs: the folder for the log.
        sections: all of these as the stages take them, checked.

    Raises:
        ValueError: an unknown model type or hyperparameter, or an unknown or wrong setting (a SettingsError).
    """

    model_type: str = "random_forest"
    task_type: Task = "classification"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    target: str | None = None
    drop: Sequence[str] = ()
    load: Mapping[str, Any] = field(default_factory=dict)
    contract: str | Path | None = None
    features: str | Path | None = None
    split: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    tune: Mapping[str, Any] = field(default_factory=dict)
    cross_validate: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    evaluate: Mapping[str, Any] = field(default_factory=dict)
    models: str | Path = "models"
    logs: str | Path = "logs"
    checked: InitVar[Sections | None] = None  # by from_params, which has them from params.yaml
    sections: Sections = field(init=False, repr=False, compare=False)

    def __post_init__(self, checked: Sections | None) -> None:
        object.__setattr__(self, "sections", checked or self._converted())
        _check(self.sections)
        if self.features is not None:
            defines_features(Path(self.features).as_posix())

    @classmethod
    def from_params(cls, problem: str, path: str | Path = "params.yaml") -> "ModelConfig":
        """Take the settings of a problem in params.yaml. Raises SettingsError."""
        return cls._of(Problem(Path(path), problem))

    @classmethod
    def _of(cls, given: Problem) -> "ModelConfig":
        checked = Sections(**{name: given.section(name, kind) for name, kind in Sections.__annotations__.items()})
        load, train = checked.load, checked.train
        return cls(
            model_type=train.model,
            task_type=load.task,
            hyperparameters=train.hyperparameters,
            target=load.target,
            drop=load.drop,
            load=_as_dict(load, ("path", "task", "target", "drop")),
            features=own if (own := features_of(given.name)).exists() else None,
            split=_as_dict(checked.split),
            preprocess=_as_dict(checked.preprocess),
            tune=_as_dict(checked.tune),
            cross_validate=_as_dict(checked.cross_validate),
            train=_as_dict(train, ("model", "kind", "version", "hyperparameters")),
            evaluate=_as_dict(checked.evaluate),
            checked=checked,
        )

    def _converted(self) -> Sections:
        """Convert the mappings to the settings of each stage. Raises SettingsError."""
        drop = self.drop if isinstance(self.drop, str) else list(self.drop)
        own = {"path": "-", "task": self.task_type, "target": self.target, "drop": drop}
        given = {"model": self.model_type, "kind": KINDS.get(self.task_type, ""), "version": 1}
        given["hyperparameters"] = self.hyperparameters
        for key in given:
            if key in (self.train or {}):
                raise SettingsError(
                    f"ModelConfig.train.{key} cannot be set there. Set model_type, task_type, hyperparameters."
                )
        return Sections(
            load=_section({**self.load, **own}, LoadSettings, "load"),
            split=_section(self.split, SplitSettings, "split"),
            preprocess=_section(self.preprocess, PreprocessSettings, "preprocess"),
            tune=_section(self.tune, TuneSettings, "tune"),
            cross_validate=_section(self.cross_validate, CrossValidateSettings, "cross_validate"),
            train=_section({**self.train, **given}, TrainSettings, "train"),
            evaluate=_section(self.evaluate, EvaluateSettings, "evaluate"),
        )


def _section(values: Any, kind: type[S], name: str) -> S:
    plain = (
        {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
        if isinstance(values, Mapping)
        else values
    )
    return convert(plain, kind, f"ModelConfig.{name}")


def _check(sections: Sections) -> None:
    """Raise SettingsError for sections that contradict themselves or each other."""
    check_settings(sections.split)
    check_train(sections.train, sections.load.task)
    if sections.train.model != CUSTOM:  # code of the user's runs where it is used
        estimator = build_estimator(sections.train, sections.load.task)
        if sections.load.weight is not None:
            check_weights(estimator)
    check_preprocess(sections.preprocess, sections.train.model)
    own = check_metrics(sections.evaluate.metrics, sections.load.task)
    check_tune(sections.tune, sections.train, sections.load.task, own, custom=False)


def check_problem(problem: Problem) -> None:
    """Check all settings of a problem, also of the stages that the API has not, and whether there is its table.

    Raises:
        SettingsError: the first that is wrong, or contradicts another one; with its place in the settings' file.
    """
    try:
        # DVC tracks these keys by name, and refuses to do without them.
        tracked = Path(".dvc").is_dir()
        problem.pick("evaluate", Averaged if tracked else Averaging)
        problem.pick("preprocess", NamedFreeText if tracked else FreeText)
        sections = ModelConfig._of(problem).sections
        own = tracked and defines_features(features_of(problem.name).as_posix())
        if not own and (declared := CONTRACTS / f"{problem.name}.yaml").exists():
            _check_columns(sections, read_contract(declared))
        _check_data(data_path(problem.section("load", LoadSettings).path))
        problem.section("diagnose", DiagnoseSettings)
        problem.section("report", ReportSettings)
    except SettingsError as error:
        place = f"{problem.path}: problems.{problem.name}"
        raise SettingsError(str(error) if str(error).startswith(place) else f"{place}: {error}") from None


def _check_columns(sections: Sections, contract: Contract) -> None:
    """Refuse columns that are not there, and columns of texts that are none, or no feature, by the contract: as the
    stages would."""
    load, split = sections.load, sections.split
    none = {*load.drop, load.weight, target_of(load), split.group, None if split.time_is_feature else split.time}
    kinds = {"string": "text", "integer": "number", "datetime": "date"}
    types = {name: kinds.get(kind, kind) for name, kind in contract.types.items() if name not in none}
    if contract.lockstep.severity.columns == "error":
        used = {"load.target": target_of(load), "load.weight": load.weight, "split.group": split.group}
        for key, name in (used | {"split.time": split.time}).items():
            if name is not None and name not in contract.types:
                raise SettingsError(
                    f"{key} is '{name}', and the contract has no such column.{did_you_mean(name, contract.types)} It "
                    f"has: {some(contract.types, 20)}."
                )
    else:  # the table may have others
        types = dict.fromkeys(sections.preprocess.text_columns, "text") | types
    check_text_columns(sections.preprocess, types)


def _check_data(path: Path) -> None:
    """Refuse a table that is neither here nor tracked by DVC, which would bring it."""
    if Path(".dvc").is_dir() and not path.exists() and not Path(f"{path}.dvc").exists():
        here = [file.removesuffix(".dvc") for file in map(str, sorted(path.parent.glob("*")))]
        hint = did_you_mean(str(path), here) or " 'python -m lockstep add FILE' brings a table in."
        raise SettingsError(f"load.path is {path}, which does not exist, and no {path}.dvc tracks it.{hint}")


def _as_dict(settings: Settings, without: Collection[str] = ()) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__ if name not in without}


class PipelineResult(NamedTuple):
    """What run_pipeline gives; ``model, metrics, *rest = result`` unpacks it.

    Attributes:
        model: a fitted scikit-learn Pipeline that takes raw rows.
        metrics: on the test rows: accuracy, precision, recall, f1_score, ... or mse, mae, r2_score, ...
        model_path: the saved model; beside it stand its sidecar ``<file>.json``, ``<stem>_metrics.json``,
            ``<stem>_history.csv`` and ``<stem>_background.parquet``.
        history: the training history: iteration, part, loss.
        cross_validation: mean and standard deviation of each metric over the folds.
        predictions: one row per test row: row (its number in the data), row_hash, actual, predicted, probabilities.
        trials: what the search for hyperparameters tried, one row per trial; none without a search.
        out_of_fold: the predictions of the training rows by the folds' models, on which calibration, threshold and
            intervals rest; columns as of ``predictions``, beside repeat and fold.
        settings: of every stage, as they were used.
        evaluated: what ``lockstep.notebooks.compare_results`` compares.
    """

    model: Pipeline
    metrics: dict[str, Any]
    model_path: Path
    history: pd.DataFrame
    cross_validation: dict[str, float]
    predictions: pd.DataFrame
    trials: pd.DataFrame
    out_of_fold: pd.DataFrame
    settings: Sections
    evaluated: Evaluated

    def _repr_html_(self) -> str:
        """For a notebook: the metrics, and where the model is."""
        folds = self.cross_validation
        spread = "{} \N{PLUS-MINUS SIGN} {}".format
        numbers = {name: value for name, value in self.metrics.items() if f"{name}_mean" in folds}
        rows = [
            [
                name,
                metric_value(value),
                metric_value(baseline) if (baseline := self.metrics.get(f"baseline_{name}")) is not None else "",
                spread(metric_value(folds[f"{name}_mean"]), metric_value(folds[f"{name}_std"])),
            ]
            for name, value in numbers.items()
        ]
        title = f"{visible(self.evaluated.target)}: {visible(self.settings.train.model)}, {visible(self.model_path)}"
        counted = f"{self.metrics['test_rows']:,} test rows"
        block = ReportBlock(counted, [], ("metric", "test", "baseline", "cross-validation"), rows)
        return html(Report(title, [], [block]))


def run_pipeline(data: str | Path | pd.DataFrame, config: ModelConfig) -> PipelineResult:
    """Load, split, preprocess, tune, cross-validate, train, evaluate, and save the model under the next free version.

    Of the training rows it keeps the 25 that ``predict_rows(explain=True)`` and ``predict --explain`` start from, in
    ``<stem>_background.parquet`` beside the model. All else works without that file.

    Args:
        data: the path of a CSV file, or a DataFrame; one row is one sample. It is not changed.
        config: what to train, and how.

    Raises:
        ValueError: data that cannot be trained on (a DataError: neither a path nor a DataFrame, too few rows, no target
            column, a target with missing values or of one class, ...), or settings that do not fit the data (a
            SettingsError).
        MachineError: a file cannot be written.
    """
    if not isinstance(data, str | os.PathLike | pd.DataFrame):
        raise DataError(
            "run_pipeline takes the path of a CSV or parquet file, or a pandas DataFrame; this is of type "
            f"'{type(data).__name__}'. Make a DataFrame of it, with the target as one of its columns: "
            "pandas.DataFrame(data, columns=[...])."
        )
    settings, start = config.sections, time.perf_counter()
    contract = None if config.contract is None else read_contract(Path(config.contract))
    stem = model_file_name(settings.train.model, settings.train.kind, 0).removesuffix("_v0.joblib")
    try:
        with logging_to(Path(config.logs) / f"{stem}.log", stem, stderr=False):
            if why := shortcoming():
                logger.warning("the last bits of results may be others than on other machines: %s", why)
            if isinstance(data, pd.DataFrame):
                table = load_frame(data, settings.load, contract).table
            else:
                table = load_file(Path(data), settings.load, contract).table
            log_table(table)
            md5 = None if isinstance(data, pd.DataFrame) else md5_of(Path(data))
            parts = split_table(table, settings.split, md5)
            log_parts(parts)
            check_parts(parts, settings.split.checks, settings.preprocess.text_columns)
            own = settings.evaluate.metrics
            make_scorers(own, table.task, weighted=table.weight is not None)  # before anything is fitted
            features = None if config.features is None else read_features(Path(config.features))
            preprocessor, processed = preprocess(parts.train, settings.preprocess, settings.train.model, features)
            tried, average = NO_SEARCH, settings.evaluate.average
            if settings.tune.trials:
                pipeline = PipelineSettings(settings.preprocess, settings.train, features)
                tried = search(parts.train, settings.tune, settings.cross_validate, pipeline, average, own)
            model = with_best_trial(settings.train, tried.best)
            pipeline = PipelineSettings(settings.preprocess, model, features)
            folds = cross_validate(parts.train, settings.cross_validate, pipeline, average, own)
            trained = train(processed, preprocessor, parts.validation, model)
            kept = out_of_fold(folds)
            fitted, decision = decide(trained.model, kept, model, parts.train.positive)
            sha256 = table_sha256(parts.train)
            about = describe(parts.train, sha256, settings.preprocess, features)
            about = describe_model(about, model, decision, tally_of(trained.model[-1]))
            # Saved before it is used, as by the stages: a nearest-neighbours model counts its queries.
            with _unnamed(fitted, Path(config.models), stem, about.get("code")) as saved:
                found = evaluate(fitted, parts.test, parts.train, settings.evaluate, decision)
                path = _name_next(saved, stem)
            with Outputs() as outputs:
                outputs.json(sidecar_of(path), sidecar(path.read_bytes(), path.name, about, libraries_of(model)))
                outputs.json(path.with_name(f"{path.stem}_metrics.json"), found.metrics)
                outputs.csv(path.with_name(f"{path.stem}_history.csv"), HISTORY_COLUMNS, trained.history)
                columns = [*columns_taken(fitted, about["features"])]
                outputs.write(background_file(path), lambda file: write_background(file, parts.train, columns, sha256))
            logger.info("%s: %s, %.1f s", path, found.metrics, time.perf_counter() - start)
    except OSError as error:
        raise MachineError(
            f"a file cannot be written: {error}. Free the space or the path, or set another folder."
        ) from error
    history = pd.DataFrame(trained.history, columns=list(HISTORY_COLUMNS))
    trials = pd.DataFrame(tried.trials, columns=list(tried.columns))
    evaluated = _evaluated(path, settings, found.predictions, folds, sha256, md5)
    if tried.best is not None:
        evaluated = replace(evaluated, found=tried.best.hyperparameters)
    return PipelineResult(
        fitted, found.metrics, path, history, fold_summary(folds), found.predictions, trials, kept, settings, evaluated
    )


def _evaluated(
    path: Path, settings: Sections, predictions: pd.DataFrame, folds: Sequence[FoldScores], rows: str, md5: str | None
) -> Evaluated:
    """What a comparison needs, as ``recorded_evaluations`` reads it from a revision; ``rows``: the hash of the training
    rows; ``md5``: of the data's file, None for a DataFrame."""
    load, split, validation = settings.load, settings.split, settings.cross_validate
    average, grouped, in_time = settings.evaluate.average, split.group is not None, split.time is not None
    return Evaluated(
        shown=str(path),
        predictions=predictions,
        task=load.task,
        target=target_of(load),
        average=average,
        stratified=split.stratify is not False and not grouped and not in_time,
        grouped=grouped,
        in_time=in_time,
        raw=name_of_raw(md5, load.skip_lines),
        folds=Folds(
            scores=pd.DataFrame(fold_rows(folds), columns=list(FOLD_COLUMNS)),
            made_from=(rows, validation.folds, validation.repeats, validation.seed),
            average=average_of_folds(average, load.positive),
        ),
        metrics=tuple(settings.evaluate.metrics),
        positive=load.positive,
    )


@contextlib.contextmanager
def _unnamed(model: Pipeline, folder: Path, stem: str, code: Mapping[str, str] | None = None) -> Iterator[Path]:
    """The path of a file that holds ``model``, which needs ``code``, while the block runs; see save_model."""
    folder.mkdir(parents=True, exist_ok=True)
    path = temporary_beside(folder / f"{stem}.joblib")
    try:
        save_model(model, path, code)
        yield path
    finally:
        path.unlink(missing_ok=True)


def _name_next(saved: Path, stem: str) -> Path:
    """Name the file ``<stem>_v<n>.joblib``, n being one more than the highest in its folder; never over another
    file."""
    found = [re.fullmatch(rf"{re.escape(stem)}_v([0-9]+)\.joblib", entry.name) for entry in saved.parent.iterdir()]
    version = max((int(match[1]) for match in found if match), default=0) + 1
    while True:
        path = saved.with_name(f"{stem}_v{version}.joblib")
        try:
            _link_or_copy(saved, path)
        except FileExistsError:
            version += 1
        else:
            return path


def _link_or_copy(source: Path, path: Path) -> None:
    """Give the file a second name. Unlike a rename, this fails where another run has just taken the name."""
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        with source.open("rb") as content, path.open("xb") as copy:
            shutil.copyfileobj(content, copy)
