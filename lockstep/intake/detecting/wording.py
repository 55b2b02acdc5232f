"""Numbers with nouns and verbs that agree with them."""


def counted(number: int, noun: str) -> str:
    """``1 cell``, ``2,000 cells``."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def are(number: int) -> str:
    """The verb behind so many things."""
    return "is" if number == 1 else "are"
