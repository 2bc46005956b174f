"""``--segment ID``, which every command takes that shows something of segments."""

from __future__ import annotations

import typer
from typer.core import TyperArgument, TyperCommand

OPTION = "--segment"
EPILOG = "SEGMENT may be given as --segment ID too."


class BySegment(TyperCommand):
    """A command whose segments may be given as options as well as by their place among the arguments."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        own = {opt for parameter in self.params for opt in parameter.opts}
        #: Whether segments are arguments of this command, always the last ones.
        self.placed = OPTION not in own and any(
            isinstance(parameter, TyperArgument) and "SEGMENT" in (parameter.metavar or "") for parameter in self.params
        )
        if self.placed:
            self.epilog = EPILOG

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, placed(args) if self.placed else args)


def placed(args: list[str]) -> list[str]:
    """The arguments with the values of ``--segment`` as the last ones.

    >>> placed(["--segment", "vip", "c1", "--json", "--segment=loyal"])
    ['c1', '--json', 'vip', 'loyal']
    """
    rest: list[str] = []
    segments: list[str] = []
    waiting = iter(args)
    for argument in waiting:
        if argument == OPTION:
            value = next(waiting, None)
            if value is None:
                raise typer.BadParameter("requires an argument: the id of a segment", param_hint=OPTION)
            segments.append(value)
        elif argument.startswith(f"{OPTION}="):
            segments.append(argument.removeprefix(f"{OPTION}="))
        else:
            rest.append(argument)
    return rest + segments
