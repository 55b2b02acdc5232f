"""The search for hyperparameters: what the stage ``tune`` does. Imports ``kernel``, ``tables``, ``learning``."""
