"""What ``add`` finds out about a file, and decides; and which files are a problem's, to rename and to remove it.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``splitting``, ``learning``,
``repository``.
"""
