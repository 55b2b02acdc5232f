"""What is no table yet: a workbook, JSON lines, several CSV files, the result of a query. Each becomes a snapshot.

A snapshot is one file, which ``add`` copies below data/raw as it does any table, and which the stages read as any; what
it was made of is recorded in its .dvc file. It is a function of the content alone. No stage imports this folder.
Imports ``kernel``, ``reading``, ``repository``, ``intake.detecting``.
"""
