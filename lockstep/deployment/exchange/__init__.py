"""Models as files that run no code when they are opened (skops), and models of either kind opened.

No stage imports it: the API, ``export`` and ``predict`` do. Imports ``kernel``, ``saving``.
"""
