"""A problem of the repository: which files and settings it has; it is added, renamed, removed.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``learning``, ``repository``, and of ``intake``
``detecting``, ``editing`` and ``choosing``.
"""
