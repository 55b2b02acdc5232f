"""Facts to pictures to pages: what the stage ``report`` does. It fits and scores nothing.

``report`` depends on the folder as a whole. Imports ``kernel``, ``learning``, ``diagnosing``.
"""
