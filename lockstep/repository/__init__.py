"""Git's commands, and DVC's internals and settings. (What stages read of DVC, its lock file and its locks, is in
``kernel``.)

Of the stages, ``check`` alone imports a module of it. Imports ``kernel``.
"""
