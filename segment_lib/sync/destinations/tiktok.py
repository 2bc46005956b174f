"""Custom audiences at TikTok, by the streaming interface: identifiers into and out of an audience, one request a batch.

TikTok says that it is busy by a code in an answer of 200, without how long, and takes or refuses a batch as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest

from segment_lib.sync.contract import Audience, Batch, Delivery, Limits, Record
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed, pieces
from segment_lib.sync.http import Answer, Http
from segment_lib.sync.rates import Rate
from segment_lib.sync.retries import Temporary

#: Our kinds of identifiers as TikTok names them, in the order in which they stand in a row.
KEYS = {"email": "EMAIL_SHA256", "phone": "PHONE_SHA256"}
_BUSY = 40100
_LOGIN = {40101, 40102, 40104, 40105, 40110}


class TikTok:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(options.records, 1_000_000, options.per_second, options.per_minute)
        self._options = options
        self._token = setup.secrets["access_token"]
        self._keys = [kind for kind in KEYS if kind in setup.profile.kinds]
        self._rate = Rate(options.per_second, options.per_minute, setup.clock)
        self._http = Http(
            "tiktok", f"{options.url.rstrip('/')}/open_api/{options.version}", self._headers, now=setup.now,
            patience=options.patience, clock=setup.clock, throttled=_throttled,
        )

    def _headers(self) -> Mapping[str, str]:
        return {"access-token": self._token.reveal()}

    def _rows(self, record: Record, audience_id: str) -> list[list[dict]]:
        """One row a value; an empty object keeps the place of what is unknown."""
        columns = [record.identifiers.get(kind, ()) for kind in self._keys]
        return [
            [{"id": value, "audience_ids": [audience_id]} if value else {} for value in row]
            for row in zip_longest(*columns, fillvalue="")
        ]

    def size_of(self, record: Record) -> int:
        return sum(len(packed(row)) + 1 for row in self._rows(record, "7" * 19))

    def open(self, audience: Audience) -> str:
        if audience.remote_id:
            return audience.remote_id
        path = "/segment/audience/"
        about = {"custom_audience_name": audience.name, "advertiser_id": self._options.advertiser, "action": "create"}

        def create(once) -> str:
            return str(self._good(once("POST", path, rate=self._rate, data=about), path)["audience_id"])

        return self._http.find_or_create(lambda: self._found(audience.name), create)

    def _found(self, name: str) -> str | None:
        path, page = "/dmp/custom_audience/list/", 1
        while True:
            params = {"advertiser_id": self._options.advertiser, "page": str(page), "page_size": "100"}
            said = self._good(self._http.call("GET", path, rate=self._rate, params=params), path)
            for row in said.get("list", []):
                if row.get("name") == name:
                    return str(row["audience_id"])
            if page >= said.get("page_info", {}).get("total_page", 1):
                return None
            page += 1

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        path = "/segment/mapping/"
        rows = [row for record in batch.records for row in self._rows(record, audience.remote_id or "")]
        request = None
        for piece in pieces(rows, self._options.records):
            data = {
                "advertiser_ids": [self._options.advertiser], "action": "add" if batch.action == "add" else "delete",
                "id_schema": [KEYS[kind] for kind in self._keys], "batch_data": piece,
            }
            answer = self._http.call("POST", path, rate=self._rate, data=data)
            self._good(answer, path)
            request = answer.json().get("request_id")
        return delivered(batch, [], request)

    def close(self, audience: Audience) -> None:
        """Nothing: there is no session."""

    def _good(self, answer: Answer, path: str) -> dict:
        said = answer.json()
        if answer.status == 200 and isinstance(said, dict) and said.get("code") == 0:
            return said.get("data") or {}
        why = said.get("code") if isinstance(said, dict) else None
        raise self._http.failed(answer, path, why, "the access token is not accepted" if why in _LOGIN else "")


def _throttled(answer: Answer) -> None:
    said = answer.json()
    why = said.get("code") if isinstance(said, dict) else None
    if why == _BUSY:
        raise Temporary("too many calls (code 40100)")
    if isinstance(why, int) and why >= 50_000:
        raise Temporary(f"a fault of its own (code {why})")
