"""What is made of a fitted model's outputs before someone acts on them: calibrated probabilities, the threshold of two
classes, intervals of predictions. docs/decisions.md says it in prose.

All of it rests on out-of-fold predictions of the training rows, never on test rows. ``train``
depends on the folder as a whole, other stages on single modules of it.
Imports ``kernel``, ``tables``, ``learning``.
"""
