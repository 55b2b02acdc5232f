"""Git's commands and DVC's internals: the only folder that knows either.

No stage imports it. Imports ``kernel``.
"""
