"""Names of the user's in Markdown."""

import re


def escaped(text: str) -> str:
    """``text`` as Markdown shows it, such as the name of a class that has markup in it."""
    return re.sub(r"([\\`*\[\]<>|#&])", r"\\\1", text)
