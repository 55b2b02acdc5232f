"""What ``add`` chooses where the user has not: target, task, split, model, each with its reason.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``steps.splitting``, ``learning``,
``intake.detecting``, ``intake.editing``.
"""
