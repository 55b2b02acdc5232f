"""The commands that run stages, and show what they gave."""
