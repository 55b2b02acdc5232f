"""A trained model at work: written for other programs, registered, served, watched.

A room for each task; no stage imports one.
"""
