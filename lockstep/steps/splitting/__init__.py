"""The checks of the data on both sides of the split: what the stage ``split`` does besides cutting.

``split`` depends on the folder as a whole; ``add`` and ``data-diff`` use its statistics. Imports ``kernel``,
``tables``.
"""
