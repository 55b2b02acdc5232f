"""What was made from what, whether it is still so, and how it is put right.

No stage imports it. Imports ``kernel``, ``saving``, ``repository``.
"""
