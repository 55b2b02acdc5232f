"""What ``update`` makes of new data: the table with its rows, what changed, which rows are test rows; all or nothing.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``steps.splitting``, ``comparing``,
``intake.detecting``, ``intake.editing``, ``intake.problems``, ``intake.sources``.
"""
