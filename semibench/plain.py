"""Texts of strangers, such as names in results: what may be shown of them, and how they stand on a line of a log."""

import re

# control characters but tab and line feed, halves of surrogate pairs, and marks that turn the direction of what follows them
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    r"""Return ``text`` with a replacement character for each one that commands a terminal or turns the direction of text.

    >>> visible("a\x1b[2Jb") == "a\N{REPLACEMENT CHARACTER}[2Jb"
    True
    """
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)


def line(text: str) -> str:
    r"""Return ``text`` as one visible line.

    >>> line("a\n::error::b")
    'a ::error::b'
    """
    return visible(" ".join(text.splitlines()))


def message(text: str) -> str:
    """Return ``text`` as one line of a log, which GitHub takes for no command: it looks for ``##[`` anywhere in a line.

    >>> message("a ##[error]b")
    'a # #[error]b'
    """
    return line(text).replace("##[", "# #[")
