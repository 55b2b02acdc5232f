"""A user's bytes to typed columns, checked against the contract: what the stage ``load`` does.

``load`` depends on the folder as a whole; ``add`` and ``predict`` read by it too. Imports ``kernel``, ``tables``.
"""
