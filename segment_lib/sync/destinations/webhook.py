"""Batches to an address of your own, as JSON by POST, signed as the messages of `notify` are.

`idempotency-key` and `webhook-id` are the key of the batch, the same for every attempt and after a crash, so the receiver
sees what it has already. It may answer with ``{"refused": [{"record": 3, "reason": "unknown_customer"}]}``.
"""

from __future__ import annotations

from collections.abc import Mapping

from segment_lib.notify.attempt import NotSent
from segment_lib.notify.webhook import signed
from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed
from segment_lib.sync.http import Http, code
from segment_lib.sync.rates import Rate

#: The frame around the records: names, key, action.
_FRAME = 800


class Webhook:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(options.records, max(1, options.bytes - _FRAME), options.per_second, options.per_minute)
        self._secret = setup.secrets["secret"]
        self._token = setup.secrets.get("token")
        self._now = setup.now
        self._rate = Rate(options.per_second, options.per_minute, setup.clock)
        self._http = Http(
            "webhook", options.url, self._headers, now=setup.now, patience=options.patience, clock=setup.clock
        )

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token.reveal()}"} if self._token else {}

    def size_of(self, record: Record) -> int:
        return len(packed(_row(record))) + 1

    def open(self, audience: Audience) -> str:
        return audience.remote_id or audience.name

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        body = packed({
            "audience": audience.remote_id or audience.name, "key": batch.key, "action": batch.action,
            "records": [_row(record) for record in batch.records],
        })
        try:
            headers = signed(self._secret.reveal(), batch.key, self._now(), body)
        except NotSent as error:
            raise DeliveryError(f"webhook: {error.reason}") from None
        headers |= {"idempotency-key": batch.key, "content-type": "application/json; charset=utf-8"}
        answer = self._http.call("POST", "", rate=self._rate, body=body, headers=headers)
        if not 200 <= answer.status < 300:
            raise self._http.failed(answer, "the address of the webhook")
        said = answer.json()
        rows = said.get("refused", []) if isinstance(said, dict) else []
        refused = [
            Refusal(batch.records[row["record"]].customer_id, code(row.get("reason")))
            for row in rows
            if isinstance(row, dict) and type(row.get("record")) is int and 0 <= row["record"] < len(batch.records)
        ]
        return delivered(batch, refused, None)

    def close(self, audience: Audience) -> None:
        """Nothing: there is no session."""


def _row(record: Record) -> dict:
    row: dict[str, object] = {"identifiers": {kind: list(values) for kind, values in record.identifiers.items()}}
    row |= {"id": record.id} if record.id else {}
    return row | ({"properties": dict(record.properties)} if record.properties else {})
