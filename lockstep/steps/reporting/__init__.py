"""Facts to pictures to pages: what the stage ``report`` does. It fits, scores and counts nothing.

``report`` depends on the folder as a whole. Imports ``kernel``, ``learning`` (names of metrics and of model files),
``steps.diagnosing`` (what the stage before writes); no library that computes results.
"""
