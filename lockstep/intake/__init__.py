"""What ``add`` finds out about a file, and decides.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``splitting``, ``learning``,
``repository``.
"""
