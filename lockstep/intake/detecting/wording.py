"""Verbs that agree with numbers."""


def are(number: int) -> str:
    """The verb behind so many things."""
    return "is" if number == 1 else "are"
