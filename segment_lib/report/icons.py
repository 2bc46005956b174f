"""The icons of recommended segments, drawn in the page, so that no font has to have them."""

from __future__ import annotations

#: Name -> an SVG path in a box of 16 by 16.
ICONS = {
    "star": "M8 1l2.1 4.6 5 .6-3.7 3.4 1 5L8 12.1l-4.4 2.5 1-5L.9 6.2l5-.6z",
    "cart": "M1 2h2.5l.5 2h11l-1.8 6H5.4L3 3.5H1zM6 12a1.5 1.5 0 1 0 .01 0zM12 12a1.5 1.5 0 1 0 .01 0z",
    "bell": "M8 1a4.5 4.5 0 0 1 4.5 4.5V9l1.5 2.5H2L3.5 9V5.5A4.5 4.5 0 0 1 8 1zM6.5 13h3a1.5 1.5 0 0 1-3 0z",
    "heart": "M8 14L2 8a3.6 3.6 0 0 1 0-5 3.6 3.6 0 0 1 5 0l1 1 1-1a3.6 3.6 0 0 1 5 0 3.6 3.6 0 0 1 0 5z",
    "gift": "M1 5h14v3H1zM2 9h5v6H2zM9 9h5v6H9zM8 5L4 1.5 3 3.5 5 5zM8 5l4-3.5 1 2L11 5z",
    "flag": "M2 1h1.5v14H2zM4 2h10l-3 3.5L14 9H4z",
}


def path(name: str) -> str:
    """The drawing of an icon; a name that is not among them has the star.

    >>> path("star") == path("no such icon"), path("cart") == path("star")
    (True, False)
    """
    return ICONS.get(name, ICONS["star"])
