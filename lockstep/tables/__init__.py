"""The typed table that stages hand to each other, and its parquet file.

All stages but ``report`` depend on the folder as a whole. Imports ``kernel``.
"""
