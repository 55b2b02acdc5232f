"""A model at work: new rows, from a file or over HTTP, to predictions that are the same to the bit.

No stage's. ``predicting`` is what the commands ``predict`` and ``serve`` share; the libraries of ``make serve`` are
imported by ``app``, ``page`` and ``server`` alone.

Imports ``kernel``, ``tables``, ``reading``, ``learning``, ``deciding``, ``saving``, ``steps.diagnosing``,
``repository``, ``intake.detecting``, ``intake.sources``, ``deployment.exchange``, ``deployment.registry``.
"""
