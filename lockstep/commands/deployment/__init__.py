"""The commands that use a trained model: scored with, registered, served, watched."""
