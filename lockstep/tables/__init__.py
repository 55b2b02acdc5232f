"""The typed table that stages hand to each other, its parquet file, and what is asked of every column.

All stages but ``report`` depend on the folder as a whole, ``evaluate`` on all but the statistics. Imports ``kernel``.
"""
