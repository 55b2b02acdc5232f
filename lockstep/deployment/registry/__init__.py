"""The registry of models in git's tags: versions, stages, and whether a model may be promoted.

The tags are those of GTO (https://github.com/iterative/gto), which DVC reads as well. No stage imports this folder.
Imports ``kernel``, ``learning``, ``steps.evaluating``, ``steps.reporting``, ``repository``, ``provenance``,
``comparing``.
"""
