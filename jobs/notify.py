"""`seglake notify`: tells once more how the last run ended, or shows what would be sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jobs.runner import Job, command, main
from segment_lib.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from segment_lib.notify_settings import NotifyEntry


def notify(
    job: Job,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent to whom; send nothing.")] = False,
) -> int:
    """Tell the people that conf names how the last run ended, once more. Exit code 1: a message could not be sent."""
    from jobs import views
    from jobs.telling import send
    from segment_lib.notify import delivery, summary
    from segment_lib.notify.message import render
    from segment_lib.notify.record import last_outcome

    settings = job.settings()
    if not settings.notify and not dry_run:
        raise UsageError("conf names nobody to tell; docs/notifications.md shows the section notify")
    with job.lake(settings) as lake:
        outcome = last_outcome(lake)
        said = summary.summarize(settings.tenant, [outcome], days=[outcome.snapshot_date])
        message = render(said)
        entries = delivery.wanted(settings.notify, said.outcome)
        if not dry_run:
            deliveries = send(job, said, entries, message, lake)
            rows = [vars(one) for one in deliveries]
            job.show({"outcome": said.outcome.value, "deliveries": rows}, views.table(rows))
            return EXIT_OK if all(one.sent for one in deliveries) else EXIT_FAILED
    rows = [_shown(name, entry) for name, entry in entries.items()]
    document = {"subject": message.subject, "to": rows, "html": message.html, "webhook": json.loads(message.body)}
    told = views.table(rows, "would be told") if rows else f"conf names nobody to tell of {said.outcome.value}"
    job.show(document, message.text, told)
    return EXIT_OK


def _shown(name: str, entry: NotifyEntry) -> dict[str, Any]:
    """An entry as it may be shown: an address that is given by reference stays a reference."""
    if entry.email is not None:
        place = f"{entry.email.host}:{entry.email.port}, {entry.email.security}"
        return {"entry": name, "channel": "email", "to": list(entry.email.to), "by": place}
    url = entry.webhook.url if entry.webhook is not None else ""
    return {"entry": name, "channel": "webhook", "to": [url], "by": "POST"}


if __name__ == "__main__":
    main(command(notify))
