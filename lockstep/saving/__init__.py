"""Model files and the sidecars beside them: written, and opened only if their bytes are as recorded.

Stages that write or open a model depend on the folder as a whole. Imports ``kernel``, ``learning``.
"""
