"""The commands that bring tables in, and the problems made of them."""
