"""Regular expressions: RE2's syntax is the contract, Java's engine runs them."""

from __future__ import annotations

import re

#: What both accept but read differently; refused rather than guessed.
_DIFFERENT = {
    "[[:": "write \\d, \\s, \\w or the characters themselves",
    "(?U": "write *? and +? for lazy matches",
    "\\C": "write . for any character",
    "\\v": "write \\x0b",
}


def regex_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, or None.

    >>> regex_fault("a(?=b)")
    'invalid perl operator: (?='
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options=options)
    except re2.error as error:
        reason = error.args[0]
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    for text, remedy in _DIFFERENT.items():
        if text in pattern:
            return f"{text} is not supported; {remedy}"
    return "&& inside a class is not supported" if "&&" in pattern and "[" in pattern else None


def java_pattern(pattern: str) -> str:
    """The pattern for Java that matches what RE2 matches: `.` stops at \\n only, and `$` is the end of the text.

    >>> java_pattern("(?P<tld>com)$")
    '(?d)(?<tld>com)\\\\z'
    """
    translated, in_class, i = [], False, 0
    multiline = re.search(r"\(\?[is]*m", pattern) is not None
    while i < len(pattern):
        char = pattern[i]
        if char == "\\":
            translated.append(pattern[i : i + 2])
            i += 2
            continue
        if char in "[]":
            # Java nests classes, so an inner bracket is written out.
            if in_class and char == "[":
                char = "\\["
            else:
                in_class = char == "["
        if not in_class and pattern.startswith("(?P<", i):
            translated.append("(?<")
            i += 4
            continue
        translated.append("\\z" if char == "$" and not in_class and not multiline else char)
        i += 1
    return "(?d)" + "".join(translated)
