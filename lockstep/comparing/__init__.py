"""Two revisions side by side: their models (``model_*``), their data (``tables``); all models ranked (``leaderboard``).

What is found is frozen structs, from which ``--json`` is made; ``words`` and ``*_words`` say it.

Imports ``kernel``, ``tables``, ``reading``, ``steps.splitting``, ``learning``, ``steps.evaluating``,
``steps.reporting``, ``repository``, ``provenance``.
"""
