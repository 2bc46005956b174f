"""The reference of condition types, written from their docstrings: ``python -m segment_lib.definition.reference``."""

from __future__ import annotations

import inspect

from segment_lib.conditions import REGISTRY
from segment_lib.language.comparison import Comparison
from segment_lib.language.condition import Condition


def markdown() -> str:
    """One section a condition type: what it means, its keys, an example."""
    sections = [_section(REGISTRY[key]) for key in sorted(REGISTRY)]
    head = [
        "# Condition types",
        "",
        "Written from the code by `python -m segment_lib.definition.reference`; every example runs as a test.",
        "The rules that all of them share are in [language.md](language.md).",
        "",
        "| condition | meaning |",
        "|---|---|",
        *(f"| [`{key}`](#{key}) | {_summary(REGISTRY[key])} |" for key in sorted(REGISTRY)),
        "",
    ]
    return "\n".join(head) + "\n" + "\n".join(sections)


def _summary(condition: type[Condition]) -> str:
    return inspect.cleandoc(condition.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _section(condition: type[Condition]) -> str:
    operators = {info.alias or name for name, info in Comparison.model_fields.items()}
    keys = [info.alias or name for name, info in condition.model_fields.items()]
    own = [f"`{key}`" for key in keys if key not in operators]
    if operators <= set(keys):
        own.append("every operator")
    return f"## {condition.key}\n\n{inspect.cleandoc(condition.__doc__ or '')}\n\nKeys: {', '.join(own)}.\n"


if __name__ == "__main__":
    print(markdown(), end="")
