"""Meta's custom audiences, as the Marketing API's pages describe them."""

from __future__ import annotations

import hashlib
import hmac
import re

from platforms.server import Platform, Reply, Request

TOKEN, APP_SECRET = "EAAB-token-of-meta", "app-secret-of-meta"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EMPTY = hashlib.sha256(b"").hexdigest()
_HASHED = {"EMAIL", "PHONE", "FN", "LN", "COUNTRY"}
_PLAIN = {"MADID", "EXTERN_ID"}


class FakeMeta(Platform):
    """Audiences hold rows; what `refuse` names is invalid, what `hidden` names is only counted."""

    account = "1234567890"

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.audiences: dict[str, dict] = {}
        self.sessions: dict[tuple[str, int], dict] = {}
        self.refuse: set[str] = set()
        self.hidden: set[str] = set()
        self.blocked: set[str] = set()

    def members(self, audience: str) -> set[tuple[str, ...]]:
        return self.audiences[audience]["rows"]

    def busy(self, wait: float) -> Reply:
        usage = '{"1234567890": [{"type": "custom_audience", "estimated_time_to_regain_access": 1}]}'
        return _error(400, 80003, headers={"X-Business-Use-Case-Usage": usage})

    def broken(self) -> Reply:
        return self.random.choice((super().broken(), _error(500, 2, is_transient=True)))

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(401, 190)
        proof = hmac.new(APP_SECRET.encode(), TOKEN.encode(), hashlib.sha256).hexdigest()
        if (request.json or request.query).get("appsecret_proof") != proof:
            return _error(400, 100)
        version, _, path = request.path.removeprefix("/").partition("/")
        if not re.fullmatch(r"v\d+\.\d", version):
            self.wrong.append("no version")
        if path == f"act_{self.account}/customaudiences":
            return self.listed(request) if request.method == "GET" else self.created(request)
        match = re.fullmatch(r"(\d+)/users", path)
        if match and match[1] in self.audiences and request.method in ("POST", "DELETE"):
            return self.users(match[1], request)
        return _error(400, 100, 33)

    def listed(self, request: Request) -> Reply:
        rows = [{"id": known, "name": about["name"]} for known, about in self.audiences.items()]
        first = int(request.query.get("after", "0"))
        page = rows[first:first + 2]  # short pages, so that all of them are asked for
        paging = {"cursors": {"after": str(first + 2)}} | ({"next": "https://..."} if first + 2 < len(rows) else {})
        return Reply(200, {"data": page, "paging": paging})

    def created(self, request: Request) -> Reply:
        if request.json.get("subtype") != "CUSTOM" or not request.json.get("customer_file_source"):
            return _error(400, 2654)
        known = str(23_850_000_000 + len(self.audiences))
        self.audiences[known] = {"name": request.json["name"], "rows": set()}
        return Reply(200, {"id": known})

    def users(self, audience: str, request: Request) -> Reply:
        if audience in self.blocked:
            return _error(400, 100, 1713230)
        session, payload = request.json["session"], request.json["payload"]
        schema, data = payload["schema"], payload["data"]
        if not set(schema) <= _HASHED | _PLAIN or not 1 <= len(data) <= 10_000:
            self.wrong.append(f"{len(data)} rows, schema {schema}")
            return _error(400, 100, 1870000)
        state = self.sessions.setdefault((audience, session["session_id"]), {"next": 1, "done": False})
        again = session["batch_seq"] == state["next"] - 1  # its answer was lost
        if not again and (state["done"] or session["batch_seq"] != state["next"]):
            self.wrong.append(f"session: batch {session['batch_seq']}, expected {state['next']}, {state}")
            return _error(400, 2650)
        state["next"], state["done"] = session["batch_seq"] + 1, session["last_batch_flag"]
        invalid, samples = 0, {}
        for row in data:
            faults = [value for key, value in zip(schema, row, strict=True) if not self.fits(key, value)]
            if faults or not any(row) or self.refuse & set(row) or self.hidden & set(row):
                invalid += 1
                samples |= {value: "invalid" for value in self.refuse & set(row)}
            elif request.method == "POST":
                self.members(audience).add(tuple(row))
            else:
                self.members(audience).discard(tuple(row))
        return Reply(200, {
            "audience_id": audience, "session_id": str(session["session_id"]), "num_received": len(data),
            "num_invalid_entries": invalid, "invalid_entry_samples": samples,
        })

    def fits(self, key: str, value: str) -> bool:
        good = value == "" or key in _PLAIN or (_SHA256.fullmatch(value) and value != _EMPTY)
        if not good:
            self.wrong.append(f"{key} is no hash, or the hash of nothing")
        return bool(good)


def _error(status: int, code: int, subcode: int | None = None, headers: dict | None = None, **more) -> Reply:
    error = {"message": "jane.doe@example.com is the matter", "type": "OAuthException", "code": code, **more}
    return Reply(status, {"error": error | ({"error_subcode": subcode} if subcode else {})}, headers or {})
