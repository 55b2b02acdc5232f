"""A repository of one's own, made from this one, and later versions of this one brought into it.

No stage imports it. Imports ``kernel``, ``repository``, ``intake.editing``, ``intake.problems``.
"""
