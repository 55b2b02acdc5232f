"""From a user's files to problems of the repository, and new data into these.

A room for each task; no stage imports one.
"""
