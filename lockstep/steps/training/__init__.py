"""What the stage ``train`` computes beside the model: its history. Imports ``kernel``, ``learning``."""
