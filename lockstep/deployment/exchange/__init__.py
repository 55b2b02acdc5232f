"""Models as files that run no code when they are opened (skops), those of LightGBM and XGBoost in them checked before
those libraries read them, and models of either kind opened.

No stage imports it: the API, ``export`` and ``predict`` do. Imports ``kernel``, ``saving``.
"""
