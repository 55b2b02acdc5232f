"""How a file is written, and what its columns are: encoding, delimiter, numbers, dates, codes, identifiers.

No stage imports it. Imports ``kernel``, ``tables``, ``reading``, ``steps.splitting``, ``learning``.
"""
