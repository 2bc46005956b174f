"""A message for each change, to a queue of SQS, a topic of SNS or a bus of EventBridge.

A message's id is made of the batch's key and the customer, so consumers, and queues and topics of the kind FIFO themselves,
see what comes again. boto3 makes each request once: entries that AWS did not take are sent again by our own layer of
retries, and those that it calls our fault are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, message_id, packed
from segment_lib.sync.http import code
from segment_lib.sync.retries import Temporary, tried

#: Entries in a request of each of the three, and bytes of all of them together.
_ENTRIES, _BYTES = 10, 262_144
#: Bytes of a message, and of what a service counts with it, beside the record.
_FRAME = 1_200
_BUSY = ("Throttl", "RequestLimit", "TooManyRequests", "ServiceUnavailable", "Internal", "RequestTimeout", "SlowDown")

#: One entry as AWS takes it, and the place of its record in the batch.
Entry = tuple[int, dict[str, Any]]


class _Messages:
    """What the three share: messages in requests of ten, again for those that were not taken."""

    service: ClassVar[str]
    bytes: ClassVar[int] = _BYTES

    def __init__(self, setup: Setup):
        self.profile = setup.profile
        self.limits = Limits(1_000, 100_000_000)
        self._options = setup.options
        self._clock = setup.clock
        self._client = _client(self.service, setup.options.timeout)

    def size_of(self, record: Record) -> int:
        return len(packed(_body(record))) + _FRAME

    def open(self, audience: Audience) -> str:
        return audience.remote_id or audience.name

    def close(self, audience: Audience) -> None:
        """Nothing: there is no session."""

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        refused: list[Refusal] = []
        for group in self._groups(audience, batch, refused):
            refused += [
                Refusal(batch.records[place].customer_id, reason) for place, reason in self._sent(group).items()
            ]
        return delivered(batch, refused, None)

    def _groups(self, audience: Audience, batch: Batch, refused: list[Refusal]) -> Sequence[list[Entry]]:
        """The entries in requests, ten at most and no more bytes than a request may have; too long ones are refused."""
        groups: list[list[Entry]] = []
        room = 0
        for place, record in enumerate(batch.records):
            size = self.size_of(record)
            if size > self.bytes:
                refused.append(Refusal(record.customer_id, "too_large"))
                continue
            if not groups or len(groups[-1]) == _ENTRIES or size > room:
                groups.append([])
                room = self.bytes
            room -= size
            groups[-1].append((place, self._entry(audience, batch, place, record)))
        return groups

    def _sent(self, group: list[Entry]) -> dict[int, str]:
        """Place -> reason of the entries that are refused for good; the others have been taken."""
        left, refused = list(group), {}

        def attempt() -> None:
            nonlocal left
            failed = self._failed([entry for _, entry in left])
            refused.update({left[number][0]: code(why) for number, (why, ours) in failed.items() if ours})
            left = [left[number] for number, (_, ours) in failed.items() if not ours]
            if left:
                reasons = sorted({code(why) for why, ours in failed.values() if not ours})
                raise Temporary(f"{len(left)} messages were not taken: {', '.join(reasons)}")

        tried(self.service, "sending messages", attempt, self._options.patience, self._clock)
        return refused

    def _failed(self, entries: list[dict[str, Any]]) -> dict[int, tuple[str | None, bool]]:
        """Place among `entries` -> (code, whether it is our fault) of those that were not taken."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._request(entries)
        except ClientError as error:
            why = str(error.response.get("Error", {}).get("Code"))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            if status >= 500 or status == 429 or any(word in why for word in _BUSY):
                raise Temporary(f"AWS answered {code(why)}") from None
            raise DeliveryError(f"{self.service}: AWS refuses the messages, code {code(why)}") from None
        except BotoCoreError as error:
            if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "NoRegionError"):
                raise DeliveryError(
                    f"{self.service}: no login or region for AWS is at hand ({type(error).__name__})"
                ) from None
            raise Temporary(f"AWS cannot be reached ({type(error).__name__})") from None

    def _entry(self, audience: Audience, batch: Batch, place: int, record: Record) -> dict[str, Any]:
        raise NotImplementedError

    def _request(self, entries: list[dict[str, Any]]) -> dict[int, tuple[str | None, bool]]:
        raise NotImplementedError


class Sqs(_Messages):
    """See `segment_lib.sync.contract.Destination`."""

    service = "sqs"

    def _entry(self, audience: Audience, batch: Batch, place: int, record: Record) -> dict[str, Any]:
        entry = {"Id": str(place), "MessageBody": _text(audience, batch, record)}
        if self._options.target.endswith(".fifo"):
            entry |= {"MessageGroupId": _group(audience), "MessageDeduplicationId": message_id(batch, record)}
        return entry

    def _request(self, entries):
        said = self._client.send_message_batch(QueueUrl=self._options.target, Entries=entries)
        return _failures(said, entries)


class Sns(_Messages):
    """See `segment_lib.sync.contract.Destination`."""

    service = "sns"

    def _entry(self, audience: Audience, batch: Batch, place: int, record: Record) -> dict[str, Any]:
        action = {"DataType": "String", "StringValue": batch.action}
        entry = {
            "Id": str(place), "Message": _text(audience, batch, record), "MessageAttributes": {"action": action}
        }
        if self._options.target.endswith(".fifo"):
            entry |= {"MessageGroupId": _group(audience), "MessageDeduplicationId": message_id(batch, record)}
        return entry

    def _request(self, entries):
        said = self._client.publish_batch(TopicArn=self._options.target, PublishBatchRequestEntries=entries)
        return _failures(said, entries)


class EventBridge(_Messages):
    """See `segment_lib.sync.contract.Destination`."""

    service = "events"

    def _entry(self, audience: Audience, batch: Batch, place: int, record: Record) -> dict[str, Any]:
        return {
            "Source": self._options.source, "DetailType": f"audience.{batch.action}",
            "Detail": _text(audience, batch, record), "EventBusName": self._options.target,
        }

    def _request(self, entries):
        rows = self._client.put_events(Entries=entries)["Entries"]
        return {
            number: (row["ErrorCode"], not any(word in row["ErrorCode"] for word in _BUSY))
            for number, row in enumerate(rows) if row.get("ErrorCode")
        }


def _client(service: str, timeout: float):
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"total_max_attempts": 1, "mode": "standard"}, connect_timeout=timeout, read_timeout=timeout
    )
    try:
        return boto3.client(service, config=config)
    except BotoCoreError as error:
        raise DeliveryError(f"{service}: boto3 is not set up ({type(error).__name__}); name region and login") from None


def _failures(said: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> dict[int, tuple[str | None, bool]]:
    places = {entry["Id"]: number for number, entry in enumerate(entries)}
    return {
        places[row["Id"]]: (row.get("Code"), bool(row.get("SenderFault")))
        for row in said.get("Failed", []) if row.get("Id") in places
    }


def _body(record: Record) -> dict[str, Any]:
    body: dict[str, Any] = {"identifiers": {kind: list(values) for kind, values in record.identifiers.items()}}
    return body | ({"properties": dict(record.properties)} if record.properties else {})


def _group(audience: Audience) -> str:
    return hashlib.sha256(audience.name.encode()).hexdigest()


def _text(audience: Audience, batch: Batch, record: Record) -> str:
    about = {"id": message_id(batch, record), "audience": audience.remote_id or audience.name, "action": batch.action}
    return packed(about | _body(record)).decode("utf-8", "replace")
