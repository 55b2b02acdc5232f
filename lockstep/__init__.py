"""Lockstep: the code that the stages share, and the Python API.

``from lockstep import ModelConfig, run_pipeline, load_model`` is the API. These names are exported lazily (PEP 562), so
that a stage that imports one kernel module pays for that module alone, and depends on nothing else.

Layers, lowest first; a module imports from the layers below its own only (tests/test_layers.py):

1. ``errors``; 2. the kernel, which imports nothing local but ``errors``: ``portable``, ``environment``, ``settings``,
``table``, ``files``, ``log``; 3. everything that a stage shares with another one; 4. ``stages/``, none of which imports
another; 5. ``pipeline`` and the commands of ``python -m lockstep``.
"""

from typing import TYPE_CHECKING, Any

from lockstep.portable import pin

if TYPE_CHECKING:
    from lockstep.models import load_model
    from lockstep.pipeline import ModelConfig, PipelineResult, run_pipeline

__all__ = ["ModelConfig", "PipelineResult", "load_model", "run_pipeline"]

pin()


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from lockstep import models

        return models.load_model
    if name in __all__:
        from lockstep import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'lockstep' has no attribute {name!r}")
