"""What only the model and the rows together can say, for the report: what the stage ``diagnose`` does.

``diagnose`` depends on the folder as a whole, ``report`` on ``diagnosis.py`` alone, which says what the stage writes.
Imports ``kernel``, ``tables``, ``learning``, ``steps.evaluating``.
"""
