"""Rows that came after training: are they still what the model was trained on, and is it still as good?

What is found is frozen structs, from which ``--json`` is made. No stage imports this folder. Imports ``kernel``,
``tables``, ``steps.splitting``, ``learning``, ``steps.evaluating``, ``steps.reporting``, ``comparing``.
"""
