"""The page of ready segments, written from their files: ``python -m segment_lib.ready.page``."""

from __future__ import annotations

from segment_lib.ready import GROUPS, Ready, ready_segments

_HEAD = """\
# Ready segments

Written from the files in `segment_lib/ready/` by `python -m segment_lib.ready.page`.

`seglake ready` lists them and says whether this project's conf has what each needs, `seglake ready --add vip` (several
ids, `all`, or `--group daily`) copies them into `conf/segments`, and `seglake ready --show vip` prints one. A copy is
the shop's own: change it as you like. Nothing is ever overwritten.

What they have in common:

- **They fit any shop.** They use standard columns only and compare customers with the shop (percentiles) or with
  themselves (their own churn cutoff, sequences, shares of their own orders). The fixed numbers that are left are
  windows of time and the least that a word means, such as three purchases for loyalty.
- **A percentile is met by being above it** (`more_than`), not at it: ties can make a group smaller than its name says,
  never larger. It compares among those who have the value, so averages and ratios leave out who never bought.
- **Each stands alone** and refers to no other segment, so any of them can be added without the others.
- **Purchases** are orders in conf's `purchase_statuses`. Refunds are not taken off revenue.
- **Those that need a trained model wait for it**: `churn.status` is `active`, `at_risk` or `lost` once a model is
  champion (`seglake train --promote`); before that they have no members, and a run names them as waiting. `rfm.group`
  needs no model: every night has it, and it is one of the six names below.
- **They say whom, not how.** A segment of people who abandoned a cart includes some who never agreed to mail: combine
  it with `consent: email` where a campaign needs that.
"""


def markdown() -> str:
    """The rules they share, a table, and one section a segment."""
    parts = [_HEAD, *(_table(group) for group in GROUPS)]
    return "\n".join([*parts, *(_section(ready) for ready in ready_segments())])


def _table(group: str) -> str:
    rows = [
        f"| [`{ready.id}`](#{ready.id}) | {ready.title} | {ready.needs or 'standard columns'} |"
        for ready in ready_segments() if ready.group == group
    ]
    title = GROUPS[group][0].upper() + GROUPS[group][1:]
    return "\n".join([f"## {title}", "", "| segment | name | needs |", "|---|---|---|", *rows, ""])


def _section(ready: Ready) -> str:
    definition = ready.text[ready.text.index("tags:"):].rstrip()
    return f"### {ready.id}\n\n**{ready.title}.** {ready.description}\n\n```yaml\n{definition}\n```\n"


if __name__ == "__main__":
    print(markdown(), end="")
