"""What only the model and the rows together can say, for the report: what the stage ``diagnose`` does.

Imports ``kernel``, ``tables``, ``learning``, ``evaluating``.
"""
