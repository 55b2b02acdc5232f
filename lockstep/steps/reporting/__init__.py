"""Facts to pictures to pages: what the stage ``report`` does. It fits, scores and counts nothing.

``report`` depends on the folder as a whole. Imports ``kernel``, ``learning``, ``deciding``, ``steps.diagnosing``.
"""
