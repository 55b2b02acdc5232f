"""The commands that prove what was made from what, and put it right."""
