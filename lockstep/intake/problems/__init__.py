"""A problem of the repository: which files and settings it has; it is added, renamed, removed.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``steps.splitting``, ``learning``, ``steps.tuning``,
``steps.evaluating``, ``steps.diagnosing``, ``steps.reporting``, ``repository``, ``intake.detecting``,
``intake.editing``, ``intake.choosing``.
"""
