"""User lists of Google, through the Data Manager API: members in and out by hashed address and number.

Google refuses a whole request for one faulty member and names its place, so such members are taken out and the rest is sent
again. It answers before the work is done; what became of it is looked at when the audience is closed.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Mapping
from urllib.parse import urlencode

from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import delivered, packed
from segment_lib.sync.http import Answer, Http, address_fault, code
from segment_lib.sync.rates import Rate
from segment_lib.sync.secrets import Secret

SCOPE = "https://www.googleapis.com/auth/datamanager"
#: Our kinds of identifiers as Google names them.
KEYS = {"email": "emailAddress", "phone": "phoneNumber"}
_MEMBER = re.compile(r"audience_?[mM]embers(?:\.audience_?[mM]embers)?\[(\d+)\]")
#: How often faulty members are taken out of one batch; more is not a matter of single members.
_ROUNDS = 25


class Google:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        self.profile = setup.profile
        self.limits = Limits(10_000, 8_000_000, options.per_second, options.per_minute)
        self._options = options
        self._login = _Login(setup.secrets["service_account"].reveal(), setup)
        self._rate = Rate(options.per_second, options.per_minute, setup.clock)
        self._http = Http(
            "google", f"{options.url.rstrip('/')}/v1", self._login.headers, now=setup.now, patience=options.patience,
            clock=setup.clock,
        )
        self._sent: dict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()

    def _member(self, record: Record) -> dict:
        found = [
            {KEYS[kind]: value} for kind in KEYS for value in record.identifiers.get(kind, ())
        ]
        return {"userData": {"userIdentifiers": found[:10]}}

    def size_of(self, record: Record) -> int:
        return len(packed(self._member(record))) + 1

    def open(self, audience: Audience) -> str:
        if audience.remote_id:
            return audience.remote_id
        path = f"/accountTypes/{self._options.account_type}/accounts/{self._options.account}/userLists"
        about = {
            "displayName": audience.name, "description": "kept by seglake",
            "membershipDuration": f"{self._options.membership_days * 86_400}s",
            "ingestedUserListInfo": {"uploadKeyTypes": ["CONTACT_ID"]},
        }

        def create(once) -> str:
            return str(self._good(once("POST", path, rate=self._rate, data=about), path)["id"])

        return self._http.find_or_create(lambda: self._found(path, audience.name), create)

    def _found(self, path: str, name: str) -> str | None:
        token = ""
        while True:
            params = {"pageSize": "1000", **({"pageToken": token} if token else {})}
            said = self._good(self._http.call("GET", path, rate=self._rate, params=params), path)
            for row in said.get("userLists", []):
                if row.get("displayName") == name:
                    return str(row["id"])
            token = said.get("nextPageToken", "")
            if not token:
                return None

    def _destination(self, audience: Audience) -> dict:
        options = self._options
        made = {
            "operatingAccount": {"accountType": options.account_type, "accountId": options.account},
            "productDestinationId": audience.remote_id,
        }
        if options.login_account:
            made["loginAccount"] = {"accountType": options.login_account_type, "accountId": options.login_account}
        return made

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        path = "/audienceMembers:ingest" if batch.action == "add" else "/audienceMembers:remove"
        about: dict[str, object] = {"destinations": [self._destination(audience)], "encoding": "HEX"}
        if batch.action == "add":  # who is sent has consented: the sync leaves all others out
            about["consent"] = {"adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED"}
            about["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
        left, refused = list(batch.records), []
        for _ in range(_ROUNDS):
            if not left:
                return delivered(batch, refused, None)
            data = {**about, "audienceMembers": [self._member(record) for record in left]}
            answer = self._http.call("POST", path, rate=self._rate, data=data)
            faulty = _faulty(answer, len(left))
            if not faulty:
                request = self._good(answer, path).get("requestId")
                with self._lock:
                    self._sent[audience.segment_id].append(str(request))
                return delivered(batch, refused, request and str(request))
            refused += [Refusal(left[place].customer_id, reason) for place, reason in faulty.items()]
            left = [record for place, record in enumerate(left) if place not in faulty]
        raise DeliveryError(f"google: {path}: still refused after {_ROUNDS} times of taking out the members that it names")

    def close(self, audience: Audience) -> None:
        """One look at what became of each request; DeliveryError when Google says that one of them failed."""
        with self._lock:
            sent = self._sent.pop(audience.segment_id, [])
        path, failed = "/requestStatus:retrieve", set()
        for request in sent:
            said = self._good(self._http.call("GET", path, rate=self._rate, params={"requestId": request}), path)
            for row in said.get("requestStatusPerDestination", []):
                if row.get("requestStatus") == "FAILED":
                    counts = row.get("errorInfo", {}).get("errorCounts", [])
                    failed |= {code(count.get("reason")) for count in counts} or {"unknown"}
        if failed:
            raise DeliveryError(
                f"google: requests failed after they were accepted: {', '.join(sorted(failed))}; mend that, and send the "
                "audience anew"
            )

    def _good(self, answer: Answer, path: str) -> dict:
        said = answer.json()
        said = said if isinstance(said, dict) else {}
        if answer.status == 200:
            return said
        error = said.get("error")
        raise self._http.failed(answer, path, error.get("status") if isinstance(error, dict) else None)


def _faulty(answer: Answer, members: int) -> dict[int, str]:
    """Place -> reason of the members for which a request was refused; empty when it was not, or not for a member."""
    said = answer.json() if answer.status == 400 else {}
    error = said.get("error") if isinstance(said, dict) else None
    found: dict[int, str] = {}
    for detail in error.get("details", []) if isinstance(error, dict) else ():
        for violation in detail.get("fieldViolations", []):
            match = _MEMBER.search(str(violation.get("field")))
            if match and int(match[1]) < members:
                found[int(match[1])] = code(violation.get("reason")).lower()
    return found


class _Login:
    """Access tokens of a service account, each used until shortly before it ends."""

    def __init__(self, account: str, setup: Setup):
        from google.auth import crypt

        try:
            key = json.loads(account)
            self._signer = crypt.RSASigner.from_service_account_info(key)
            self._email, url = key["client_email"], key["token_uri"]
        except (ValueError, AttributeError, TypeError, KeyError):  # their texts quote the key
            raise DeliveryError(
                "google: the secret service_account is not the JSON key of a service account of Google Cloud"
            ) from None
        fault = address_fault(url)
        if fault:
            raise DeliveryError(f"google: token_uri of the secret service_account: {fault}")
        self._url, self._now, self._clock = url, setup.now, setup.clock
        self._http = Http("google", url, dict, now=setup.now, patience=setup.options.patience, clock=setup.clock)
        self._rate = Rate(None, None, setup.clock)
        self._lock = threading.Lock()
        self._token, self._ends = Secret(""), 0.0

    def headers(self) -> Mapping[str, str]:
        """Those that let a request in; the first, and one an hour, asks for a token."""
        with self._lock:
            if self._clock.monotonic() >= self._ends or not self._token.reveal():
                self._refresh()
            return {"authorization": f"Bearer {self._token.reveal()}"}

    def _refresh(self) -> None:
        from google.auth import jwt

        issued = int(self._now().timestamp())
        claims = {"iss": self._email, "scope": SCOPE, "aud": self._url, "iat": issued, "exp": issued + 3600}
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(self._signer, claims).decode(),
        }
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = self._http.call("POST", "", rate=self._rate, body=urlencode(form).encode(), headers=kind)
        said = answer.json()
        token = said.get("access_token") if isinstance(said, dict) and answer.status == 200 else None
        if not token:
            why = said.get("error") if isinstance(said, dict) else None
            raise self._http.failed(answer, "the login", why, "the service account is not let in; look at its key and rights")
        self._token = Secret(str(token))
        # A minute before its end another is asked for; one that is short-lived is used for half its time.
        life = float(said.get("expires_in", 3600))
        self._ends = self._clock.monotonic() + max(life - 60, life / 2)
