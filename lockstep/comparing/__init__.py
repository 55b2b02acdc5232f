"""Two revisions side by side: their models, their data, in words.

No stage imports it. Imports ``kernel``, ``tables``, ``learning``, ``evaluating``, ``splitting``, ``repository``,
``provenance``.
"""
