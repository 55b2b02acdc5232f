"""Lockstep: a reproducible pipeline of DVC stages, its commands, and the Python API.

``from lockstep import ModelConfig, run_pipeline, load_model`` is the API. These names are exported lazily (PEP 562), so
that a stage that imports one module pays for that module alone, and depends on nothing else.

The folders are the map. A folder imports only folders above it in this list (tests/house/test_import_law.py): first
what stages are made of, from the bytes of a table to the pages of a report, then what no stage needs. ``steps`` has a
room for each stage that needs one, and no ``__init__.py``, which all of these stages would depend on.

- ``kernel``: settings, paths, files, logs, locks, errors: what every stage needs
- ``tables``: the typed table that stages hand to each other
- ``reading``: a user's bytes to typed, checked columns (stage ``load``)
- ``steps.splitting``: the checks of the data on both sides of the split (stage ``split``)
- ``learning``: preprocessing, model types, metrics, cross-validation: what several stages fit and score by
- ``deciding``: calibrated probabilities, thresholds, intervals, reasons: what one acts on
- ``saving``: model files and their sidecars
- ``steps.tuning``: the search for hyperparameters (stage ``tune``)
- ``steps.training``: the training history (stage ``train``)
- ``steps.evaluating``: curves, resamples, intervals of test predictions (stage ``evaluate``)
- ``steps.diagnosing``: what only model and rows together can say (stage ``diagnose``)
- ``steps.reporting``: facts to pictures to pages (stage ``report``)
- ``repository``: git's commands, DVC's internals and settings
- ``provenance``: what was made from what, whether it is still so, how it is put right
- ``comparing``: two revisions side by side
- ``intake.detecting``: how a file is written, and what its columns are
- ``intake.editing``: changes of the files that people edit, all of them or none
- ``intake.choosing``: target, task, split and model where the user has chosen none, with the reasons
- ``intake.problems``: a problem's files and settings: added, renamed, removed
- ``intake.sources``: workbooks, JSON lines, several CSV files, queries: each to one file for ``add``
- ``intake.renewing``: what ``update`` makes of new data: the table, which of its rows are test rows
- ``deployment.exchange``: models as files that run no code
- ``deployment.registry``: versions and stages of models, in git's tags
- ``deployment.serving``: new rows to predictions, from a file or over HTTP
- ``deployment.watching``: rows that came after training: did they shift, is the model still as good on them
- ``template``: a repository of one's own, and later versions of this one brought into it
- ``api``: the functions of the stages, composed without DVC; the one module that imports ``stages/``
- ``notebooks``: comparisons, leaderboards and reports for Python and Jupyter
- ``commands``: the commands of ``python -m lockstep``: arguments, printing, exit codes
"""

from typing import TYPE_CHECKING, Any

from lockstep.kernel.portable import pin

if TYPE_CHECKING:
    from lockstep.api import ModelConfig, PipelineResult, run_pipeline
    from lockstep.deployment.exchange.model_loading import load_model
    from lockstep.deployment.serving.predicting import predict_rows
    from lockstep.notebooks import compare_results, compare_revisions, leaderboards, report

__all__ = [
    "ModelConfig",
    "PipelineResult",
    "compare_results",
    "compare_revisions",
    "leaderboards",
    "load_model",
    "predict_rows",
    "report",
    "run_pipeline",
]
_IN_NOTEBOOKS = {"compare_results", "compare_revisions", "leaderboards", "report"}

pin()


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from lockstep.deployment.exchange import model_loading

        return model_loading.load_model
    if name == "predict_rows":
        from lockstep.deployment.serving import predicting

        return predicting.predict_rows
    if name in _IN_NOTEBOOKS:
        from lockstep import notebooks

        return getattr(notebooks, name)
    if name in __all__:
        from lockstep import api

        return getattr(api, name)
    raise AttributeError(f"module 'lockstep' has no attribute {name!r}")
