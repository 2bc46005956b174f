"""Custom audiences at Meta: rows of hashed keys into and out of an audience, in sessions of one batch each.

A session of its own for each batch makes a batch repeatable: a session that broke off is left, and a new one adds or removes
the same people again, which changes nothing. An audience is never replaced as a whole: an empty or broken night would empty
it, and the ledger knows the difference.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from itertools import zip_longest

from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed, pieces
from segment_lib.sync.http import Answer, Http, code
from segment_lib.sync.rates import Rate
from segment_lib.sync.retries import Temporary

#: Our kinds of identifiers as Meta names them, in the order in which they stand in a row.
KEYS = {
    "email": "EMAIL", "phone": "PHONE", "first_name": "FN", "last_name": "LN", "country": "COUNTRY",
    "device_id": "MADID", "external_id": "EXTERN_ID",
}
ROWS = 10_000
#: Too many calls of the app, the user, the account, or to custom audiences; and what passes by itself.
_THROTTLED = {4, 17, 32, 341, 613, *range(80_000, 80_015)}
_PASSING = {1, 2}
_BLOCKED = 1713230
#: Where Meta says how long an account is held up, in minutes.
_USAGE = "x-business-use-case-usage"


class Meta:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(ROWS, 20_000_000, options.per_second, options.per_minute)
        self._options = options
        self._token = setup.secrets["access_token"]
        self._proof = setup.secrets.get("app_secret")
        self._keys = [kind for kind in KEYS if kind in setup.profile.kinds]
        self._rate = Rate(options.per_second, options.per_minute, setup.clock)
        self._http = Http(
            "meta", f"{options.url.rstrip('/')}/{options.version}", self._headers, now=setup.now, patience=options.patience,
            clock=setup.clock, throttled=_throttled,
        )

    def _headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self._token.reveal()}"}

    def _params(self) -> dict[str, str]:
        """Proves, when conf has the app's secret, that the token is used by who owns the app."""
        if self._proof is None:
            return {}
        proof = hmac.new(self._proof.reveal().encode(), self._token.reveal().encode(), hashlib.sha256)
        return {"appsecret_proof": proof.hexdigest()}

    def _rows(self, record: Record) -> list[list[str]]:
        """One row a value: the first values of all keys in the first, and so on; what is unknown is left blank."""
        columns = [record.identifiers.get(kind, ()) for kind in self._keys]
        return [list(row) for row in zip_longest(*columns, fillvalue="")]

    def size_of(self, record: Record) -> int:
        return sum(len(packed(row)) + 1 for row in self._rows(record))

    def open(self, audience: Audience) -> str:
        if audience.remote_id:
            return audience.remote_id
        path = f"/act_{self._options.account}/customaudiences"
        about = {
            "name": audience.name, "subtype": "CUSTOM", "customer_file_source": self._options.source,
            "description": "kept by seglake",
        }

        def create(once) -> str:
            return str(self._good(once("POST", path, rate=self._rate, data=about | self._params()), path)["id"])

        return self._http.find_or_create(lambda: self._found(path, audience.name), create)

    def _found(self, path: str, name: str) -> str | None:
        after: dict[str, str] = {}
        while True:
            params = {"fields": "id,name", "limit": "200", **after, **self._params()}
            page = self._good(self._http.call("GET", path, rate=self._rate, params=params), path)
            for row in page.get("data", []):
                if row.get("name") == name:
                    return str(row["id"])
            paging = page.get("paging", {})
            if not paging.get("next"):
                return None
            after = {"after": paging["cursors"]["after"]}

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        path = f"/{audience.remote_id}/users"
        method = "POST" if batch.action == "add" else "DELETE"
        owners = [(record.customer_id, row) for record in batch.records for row in self._rows(record)]
        session = secrets.randbits(62)
        refused: set[str] = set()
        for number, piece in enumerate(pieces(owners, ROWS), start=1):
            data = {
                "session": {
                    "session_id": session, "batch_seq": number, "last_batch_flag": number * ROWS >= len(owners),
                    "estimated_num_total": len(owners),
                },
                "payload": {"schema": [KEYS[kind] for kind in self._keys], "data": [row for _, row in piece]},
                **self._params(),
            }
            answer = self._http.call(method, path, rate=self._rate, data=data)
            refused |= _invalid(self._good(answer, path), piece)
        return delivered(batch, [Refusal(customer, "invalid_entry") for customer in sorted(refused)], str(session))

    def close(self, audience: Audience) -> None:
        """Nothing: each batch ends its own session."""

    def _good(self, answer: Answer, path: str) -> dict:
        said = answer.json()
        said = said if isinstance(said, dict) else {}
        if answer.status == 200 and "error" not in said:
            return said
        error = _error(said)
        if error.get("error_subcode") == _BLOCKED:
            raise DeliveryError(
                "meta: the audience is blocked (1713230): Meta flagged it; appeal in Audience Manager, or choose another "
                "name for it (conf: opaque_names) and sync again"
            )
        why = f"{code(error.get('code'))}.{code(error['error_subcode'])}" if error.get("error_subcode") else error.get("code")
        hint = "the access token is not valid any more" if error.get("code") == 190 else ""
        raise self._http.failed(answer, path, f"e{why}", hint)


def _error(said: object) -> dict:
    error = said.get("error") if isinstance(said, dict) else None
    return error if isinstance(error, dict) else {}


def _throttled(answer: Answer) -> None:
    error = _error(answer.json()) if answer.status >= 400 else {}
    if error.get("code") in _THROTTLED:
        raise Temporary(f"too many calls (code {error['code']})", _regained(answer))
    if error and (error.get("is_transient") or error.get("code") in _PASSING) and error.get("error_subcode") != _BLOCKED:
        raise Temporary(f"a passing fault (code {code(error.get('code'))})")


def _regained(answer: Answer) -> float | None:
    """The seconds until Meta takes calls again, from the header about usage; None when it does not say."""
    header = next((value for key, value in answer.headers.items() if key.lower() == _USAGE), "")
    usage = Answer(200, {}, header.encode()).json()
    rows = [row for rows in usage.values() for row in rows] if isinstance(usage, dict) else []
    minutes = [row.get("estimated_time_to_regain_access", 0) for row in rows if isinstance(row, dict)]
    return max(minutes, default=0) * 60.0 or None


def _invalid(said: dict, piece: list[tuple[str, list[str]]]) -> set[str]:
    """The customers whose rows Meta names as invalid; of those that it only counts nobody knows whose they are."""
    samples = said.get("invalid_entry_samples") or {}
    texts = set(samples if isinstance(samples, dict | list) else ())
    return {customer for customer, row in piece if any(value and value in texts for value in row)} if texts else set()
