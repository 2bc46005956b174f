"""Lists and profile properties at Klaviyo: profiles are imported in jobs, and taken off a list by their ids.

Nobody is ever subscribed: an import and a list leave consent as it is, while Klaviyo's call for subscribing lifts what was
suppressed. Nobody who is removed is created for it either: profiles are looked up first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed, pieces
from segment_lib.sync.http import Answer, Http, code
from segment_lib.sync.rates import Rate

#: Our kinds of identifiers as Klaviyo names them, in the order in which a profile is looked up by them.
KEYS = {"email": "email", "phone": "phone_number", "external_id": "external_id"}
PROFILES, BYTES, PROFILE_BYTES = 10_000, 5_000_000, 100_000
#: The frame around the profiles of a job.
_FRAME = 2_000
_PER_LIST_CALL = 1_000
#: Few enough that the address of a look-up stays short of what servers take.
_PER_LOOKUP = 50
_POINTER = re.compile(r"/data/attributes/profiles/data/(\d+)(/|$)")
_ROUNDS = 25
_JOBS = "/api/profile-bulk-import-jobs"
#: Seconds between two looks at a job, at first and at most.
_FIRST_LOOK, _LONGEST_LOOK = 0.5, 15.0


class Klaviyo:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(PROFILES, BYTES - _FRAME, options.per_second, options.per_minute)
        self._options = options
        self._key = setup.secrets["api_key"]
        self._clock = setup.clock
        # Klaviyo counts each of its calls by itself.
        self._import, self._job, self._errors, self._lists, self._members = (
            Rate(options.per_second, options.per_minute, setup.clock) for _ in range(5)
        )
        self._lookups = Rate(options.lookups_per_second, options.lookups_per_minute, setup.clock)
        self._http = Http(
            "klaviyo", options.url, self._headers, now=setup.now, patience=options.patience, clock=setup.clock
        )

    def _headers(self) -> Mapping[str, str]:
        return {
            "authorization": f"Klaviyo-API-Key {self._key.reveal()}", "revision": self._options.revision,
            "accept": "application/vnd.api+json", "content-type": "application/vnd.api+json",
        }

    def _property(self, audience: Audience) -> str:
        return self._options.property_prefix + audience.name

    def _profile(self, record: Record, mark: str | None) -> dict:
        attributes: dict[str, object] = {
            KEYS[kind]: values[0] for kind, values in record.identifiers.items() if kind in KEYS and values
        }
        properties = dict(record.properties) | ({mark: True} if mark else {})
        if properties:
            attributes["properties"] = properties
        return {"type": "profile", "attributes": attributes}

    def size_of(self, record: Record) -> int:
        mark = "x" * 128 if self._options.place != "list" else None
        return len(packed(self._profile(record, mark))) + 1

    def open(self, audience: Audience) -> str:
        if audience.remote_id:
            return audience.remote_id
        if self._options.place == "property":
            return self._property(audience)

        def create(once) -> str:
            data = {"data": {"type": "list", "attributes": {"name": audience.name}}}
            return str(self._good(once("POST", "/api/lists", rate=self._lists, data=data), "/api/lists")["data"]["id"])

        return self._http.find_or_create(lambda: self._found(audience.name), create)

    def _found(self, name: str) -> str | None:
        params = {"filter": f"equals(name,{json.dumps(name, ensure_ascii=False)})", "fields[list]": "name"}
        rows = self._good(self._http.call("GET", "/api/lists", rate=self._lists, params=params), "/api/lists")["data"]
        return next((str(row["id"]) for row in rows if row["attributes"]["name"] == name), None)

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        return self._add(audience, batch) if batch.action == "add" else self._remove(audience, batch)

    def close(self, audience: Audience) -> None:
        """Nothing: each batch waits for its own job."""

    # Adding --------------------------------------------------------------------------------------------------------

    def _add(self, audience: Audience, batch: Batch) -> Delivery:
        mark = self._property(audience) if self._options.place != "list" else None
        where = audience.remote_id if self._options.place != "property" else None
        refused, left = [], []
        for record in batch.records:
            large = self.size_of(record) > PROFILE_BYTES
            refused += [Refusal(record.customer_id, "too_large")] if large else []
            left += [] if large else [record]
        job = None
        for _ in range(_ROUNDS):
            if not left:
                return delivered(batch, refused, job)
            profiles = [self._profile(record, mark) for record in left]
            answer = self._http.call("POST", _JOBS, rate=self._import, data=_job_of(profiles, where))
            faulty = _faulty(answer.json().get("errors", []), left) if answer.status == 400 else {}
            if not faulty:
                job = str(self._good(answer, _JOBS)["data"]["id"])
                return delivered(batch, refused + self._refused(job, left), job)
            refused += [Refusal(left[place].customer_id, reason) for place, reason in faulty.items()]
            left = [record for place, record in enumerate(left) if place not in faulty]
        raise DeliveryError(f"klaviyo: {_JOBS}: still refused after {_ROUNDS} times of taking out the profiles that it names")

    def _refused(self, job: str, records: Sequence[Record]) -> list[Refusal]:
        """The records that a job could not import, once it has ended; DeliveryError when it was cancelled or does not end."""
        path, pause = f"{_JOBS}/{job}", _FIRST_LOOK
        ends = self._clock.monotonic() + self._options.job_seconds
        while True:
            about = self._good(self._http.call("GET", path, rate=self._job), path)["data"]["attributes"]
            if about["status"] == "complete":
                break
            if about["status"] == "cancelled" or self._clock.monotonic() > ends:
                state = "was cancelled there" if about["status"] == "cancelled" else "has not ended in time"
                raise DeliveryError(f"klaviyo: import {job} {state}; sync again later, repeating it changes nothing")
            self._clock.sleep(pause)
            pause = min(pause * 2, _LONGEST_LOOK)
        if not about.get("failed_count"):
            return []
        errors = [row["attributes"] for row in self._pages(f"{path}/import-errors", self._errors, {})]
        return [Refusal(records[place].customer_id, reason) for place, reason in _faulty(errors, records).items()]

    # Removing ------------------------------------------------------------------------------------------------------

    def _remove(self, audience: Audience, batch: Batch) -> Delivery:
        found = self._ids(batch.records)
        if self._options.place != "property":
            path = f"/api/lists/{audience.remote_id}/relationships/profiles"
            for piece in pieces(found, _PER_LIST_CALL):
                data = {"data": [{"type": "profile", "id": known} for known in piece]}
                answer = self._http.call("DELETE", path, rate=self._members, data=data)
                if answer.status != 204:
                    self._good(answer, path)
        job = None
        if self._options.place != "list" and found:
            unset = {"properties": {self._property(audience): False}}
            profiles = [{"type": "profile", "id": known, "attributes": unset} for known in found]
            answer = self._http.call("POST", _JOBS, rate=self._import, data=_job_of(profiles, None))
            job = str(self._good(answer, _JOBS)["data"]["id"])
            self._refused(job, batch.records)
        return delivered(batch, [], job)

    def _ids(self, records: Sequence[Record]) -> list[str]:
        """Klaviyo's ids of those whom it knows, by the first kind of identifier that finds them."""
        found: list[str] = []
        left = list(records)
        for kind, key in KEYS.items():
            asked = {record.identifiers[kind][0]: record for record in left if record.identifiers.get(kind)}
            known: dict[str, str] = {}
            for piece in pieces(asked, _PER_LOOKUP):
                params = {
                    "filter": f"any({key},{json.dumps(piece, ensure_ascii=False)})", "fields[profile]": key,
                    "page[size]": "100",
                }
                for row in self._pages("/api/profiles", self._lookups, params):
                    known[str(row["attributes"].get(key)).lower()] = row["id"]
            missing = []
            for record in left:
                value = (record.identifiers.get(kind) or ("",))[0].lower()
                if value in known:
                    found.append(known[value])
                else:
                    missing.append(record)
            left = missing
        return list(dict.fromkeys(found))

    def _pages(self, path: str, rate: Rate, params: Mapping[str, str]) -> Iterator[dict]:
        more: dict[str, str] = {}
        while True:
            said = self._good(self._http.call("GET", path, rate=rate, params={**params, **more}), path)
            yield from said["data"]
            following = parse_qs(urlsplit((said.get("links") or {}).get("next") or "").query)
            if "page[cursor]" not in following:
                return
            more = {"page[cursor]": following["page[cursor]"][0]}

    def _good(self, answer: Answer, path: str) -> dict:
        said = answer.json()
        said = said if isinstance(said, dict) else {}
        if 200 <= answer.status < 300:
            return said
        errors = said.get("errors") or [{}]
        raise self._http.failed(answer, path, errors[0].get("code"))


def _job_of(profiles: list[dict], where: str | None) -> dict:
    data: dict[str, object] = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}
    if where:
        data["relationships"] = {"lists": {"data": [{"type": "list", "id": where}]}}
    return {"data": data}


def _faulty(errors: Sequence[Mapping], records: Sequence[Record]) -> dict[int, str]:
    """Place among `records` -> reason, by the place that an error points to, or by the identifiers of what it repeats."""
    places = {
        (KEYS[kind], values[0]): place
        for place, record in enumerate(records) for kind, values in record.identifiers.items() if kind in KEYS and values
    }
    found: dict[int, str] = {}
    for error in errors:
        match = _POINTER.search(str((error.get("source") or {}).get("pointer")))
        repeated = error.get("original_payload") or {}
        by_value = next((places[pair] for pair in repeated.items() if _is_text(pair) and pair in places), None)
        place = by_value if by_value is not None else int(match[1]) if match else None
        if place is not None and place < len(records):
            found[place] = code(error.get("code")).lower()
    return found


def _is_text(pair: tuple[object, object]) -> bool:
    return isinstance(pair[1], str)
