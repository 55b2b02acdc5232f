"""What the stage ``evaluate`` computes from predictions: curves, resamples, intervals.

Imports ``kernel``, ``tables``, ``learning``, ``deciding``.
"""
