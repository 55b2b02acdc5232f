"""The commands that put models and data of several revisions side by side."""
