"""Two revisions side by side: their models (``model_*``), their tables (``table_*``), both in words (``*_words``).

What is found is frozen structs, from which ``--json`` is made. No stage imports this folder. Imports ``kernel``,
``tables``, ``reading``, ``learning``, ``steps.evaluating``, ``steps.splitting``, ``steps.reporting``, ``repository``,
``provenance``.
"""
