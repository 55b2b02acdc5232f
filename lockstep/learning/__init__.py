"""What is fitted, and how good it is: preprocessing, model types, metrics, cross-validation.

Whoever refits a whole pipeline (``tune``, ``cross_validate``, ``diagnose``) depends on the folder as a whole; other
stages on single modules of it. Imports ``kernel``, ``tables``.
"""
