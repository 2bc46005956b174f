"""Google's Data Manager API and the login of service accounts: a faulty member fails the whole request."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from platforms.server import Platform, Reply, Request

TOKEN = "ya29.token-of-google"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EMPTY = hashlib.sha256(b"").hexdigest()


class FakeGoogle(Platform):
    """Lists hold members as sets of identifiers; what `refuse` names fails its request, `failing` fails afterwards."""

    account = "9876543210"
    limits = {"data": (300, 300)}

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.lists: dict[str, dict] = {}
        self.requests: dict[str, str] = {}
        self.refuse: set[str] = set()
        self.failing = False
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.logins = 0

    def service_account(self) -> str:
        form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return json.dumps({
            "type": "service_account", "client_email": "sync@shop.iam.gserviceaccount.com", "private_key_id": "k1",
            "private_key": self.key.private_bytes(*form).decode(), "token_uri": f"{self.url}/token",
        })

    def members(self, audience: str) -> set[frozenset]:
        return self.lists[audience]["members"]

    def endpoint(self, request: Request) -> str:
        return "" if request.path == "/token" else "data"

    def busy(self, wait: float) -> Reply:
        return Reply(429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, {"Retry-After": str(max(1, round(wait)))})

    def answer(self, request: Request) -> Reply:
        if request.path == "/token":
            return self.login(request)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, "UNAUTHENTICATED")
        if request.path == f"/v1/accountTypes/GOOGLE_ADS/accounts/{self.account}/userLists":
            return self.listed(request) if request.method == "GET" else self.created(request)
        if request.path == "/v1/requestStatus:retrieve":
            state = self.requests.get(request.query["requestId"])
            if state is None:
                return _error(404, "NOT_FOUND")
            counts = [{"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_CUSTOM_VARIABLE"}]
            more = {"errorInfo": {"errorCounts": counts}} if state == "FAILED" else {}
            return Reply(200, {"requestStatusPerDestination": [{"requestStatus": state, **more}]})
        if request.path in ("/v1/audienceMembers:ingest", "/v1/audienceMembers:remove") and request.method == "POST":
            return self.changed(request, request.path.rpartition(":")[2])
        return _error(404, "NOT_FOUND")

    def login(self, request: Request) -> Reply:
        assertion = parse_qs(request.body.decode())["assertion"][0]
        signed, _, signature = assertion.rpartition(".")
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
        self.key.public_key().verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = signed.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if said["scope"] != "https://www.googleapis.com/auth/datamanager":
            self.wrong.append("scope")
        self.logins += 1
        return Reply(200, {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    def listed(self, request: Request) -> Reply:
        rows = [{"id": known, "displayName": about["name"]} for known, about in self.lists.items()]
        first = int(request.query.get("pageToken", "0"))
        more = {"nextPageToken": str(first + 2)} if first + 2 < len(rows) else {}
        return Reply(200, {"userLists": rows[first:first + 2], **more})

    def created(self, request: Request) -> Reply:
        about = request.json
        duration = re.fullmatch(r"(\d+)s", about.get("membershipDuration", ""))
        if not duration or int(duration[1]) % 86_400 or about["ingestedUserListInfo"]["uploadKeyTypes"] != ["CONTACT_ID"]:
            return _error(400, "INVALID_ARGUMENT")
        known = str(8_000_000 + len(self.lists))
        self.lists[known] = {"name": about["displayName"], "members": set()}
        return Reply(200, {"id": known, "displayName": about["displayName"]})

    def changed(self, request: Request, action: str) -> Reply:
        said = request.json
        (destination,) = said["destinations"]
        members = said["audienceMembers"]
        if action == "ingest":
            terms = said.get("termsOfService", {}).get("customerMatchTermsOfServiceStatus")
            if terms != "ACCEPTED" or said["consent"]["adUserData"] != "CONSENT_GRANTED":
                self.wrong.append("terms or consent")
        if destination["operatingAccount"]["accountId"] != self.account or said.get("encoding") != "HEX":
            return _error(400, "INVALID_ARGUMENT")
        if not 1 <= len(members) <= 10_000:
            self.wrong.append(f"{len(members)} members")
            return _error(400, "INVALID_ARGUMENT")
        violations = []
        for place, member in enumerate(members):
            found = member["userData"]["userIdentifiers"]
            values = [value for identifier in found for value in identifier.values()]
            hashed = all(_SHA256.fullmatch(value) and value != _EMPTY for value in values)
            if not hashed or not 1 <= len(found) <= 10:
                self.wrong.append("a member without identifiers, with too many, or not hashed")
            if self.refuse & set(values):
                field = f"audience_members[{place}].user_data.user_identifiers[0].email_address"
                violations.append({"field": field, "description": "jane.doe@example.com", "reason": "INVALID_HEX_ENCODING"})
        if violations:
            detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations[:3]}
            return _error(400, "INVALID_ARGUMENT", [detail])
        kept = self.members(destination["productDestinationId"])
        for member in members:
            pairs = frozenset(pair for found in member["userData"]["userIdentifiers"] for pair in found.items())
            (kept.add if action == "ingest" else kept.discard)(pairs)
        request_id = f"req-{len(self.requests)}"
        self.requests[request_id] = "FAILED" if self.failing else "SUCCESS"
        return Reply(200, {"requestId": request_id})


def _error(status: int, name: str, details: list | None = None) -> Reply:
    error = {"code": status, "status": name, "message": "jane.doe@example.com is the matter", "details": details or []}
    return Reply(status, {"error": error})
