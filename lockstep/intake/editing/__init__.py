"""Changes of the files that people edit, such as params.yaml: their comments stay, and all of a change is made or none.

No stage imports it. Imports ``kernel``, ``repository``.
"""
