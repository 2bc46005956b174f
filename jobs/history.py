"""`seglake history`: when a customer entered and left segments, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import views
from jobs.runner import Job, command, main


def history(
    job: Job,
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id, or one merged into it.")],
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 100,
) -> None:
    """List when a customer entered and left segments, with the cause of each change, the newest first."""
    from segment_lib import entries
    from segment_lib.runs import read_history

    with job.lake(job.settings()) as lake:
        found = entries.of_customer(lake, read_history(lake), customer).limit(limit).collect()
    rows = [row.asDict() for row in found]
    job.show({"customer": customer, "changes": rows}, views.table(rows))


if __name__ == "__main__":
    main(command(history))
