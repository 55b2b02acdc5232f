"""The commands of ``python -m lockstep``, one module each: arguments, printing, exit code.

The only folder that prints. Imports everything but ``__main__``; nothing but ``__main__`` imports it.
"""
