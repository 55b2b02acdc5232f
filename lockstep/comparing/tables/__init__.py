"""Two versions of a table: their rows matched, their columns compared, in words."""
