"""Klaviyo: profiles imported in jobs that take a while, lists by the ids of profiles, limits for each call by itself."""

from __future__ import annotations

import json
import re

from platforms.server import Platform, Reply, Request

KEY = "pk_key-of-klaviyo"
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}")
_JOBS = "/api/profile-bulk-import-jobs"


class FakeKlaviyo(Platform):
    """Profiles are one for each address, number or external id. `refuse` fails in a job, `reject` fails its request."""

    limits = {
        "import": (10, 150), "job": (10, 150), "errors": (10, 150), "lists": (10, 150), "members": (10, 150),
        "profiles": (75, 750),
    }

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.lists: dict[str, dict] = {}
        self.profiles: dict[str, dict] = {}
        self.index: dict[tuple[str, str], str] = {}
        self.jobs: dict[str, dict] = {}
        self.refuse: set[str] = set()
        self.reject: set[str] = set()
        self.looks = 3

    def members(self, audience: str) -> set[tuple]:
        return {self.identity(known) for known in self.lists[audience]["members"]}

    def identity(self, known: str) -> tuple:
        return tuple(sorted(pair for pair in self.profiles[known].items() if pair[0] != "properties"))

    def endpoint(self, request: Request) -> str:
        path = request.path
        if path.startswith(_JOBS):
            return "import" if path == _JOBS else "errors" if path.endswith("import-errors") else "job"
        return "profiles" if path == "/api/profiles" else "members" if "/relationships/" in path else "lists"

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"Klaviyo-API-Key {KEY}":
            return _error(401, "not_authenticated")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.headers.get("revision", "")):
            return _error(400, "missing_revision")
        if request.method != "GET" and request.headers.get("content-type") != "application/vnd.api+json":
            return _error(415, "unsupported_media_type")
        path = request.path
        if "subscri" in path:
            self.wrong.append("somebody was subscribed")
        if path == "/api/lists":
            return self.found(request) if request.method == "GET" else self.created(request)
        if path == _JOBS and request.method == "POST":
            return self.imported(request)
        match = re.fullmatch(_JOBS + r"/(\w+)(/import-errors)?", path)
        if match and match[1] in self.jobs:
            return self.errors(match[1], request) if match[2] else self.looked(match[1])
        match = re.fullmatch(r"/api/lists/(\w+)/relationships/profiles", path)
        if match and request.method == "DELETE" and match[1] in self.lists:
            return self.taken_off(match[1], request)
        if path == "/api/profiles" and request.method == "GET":
            return self.filtered(request)
        return _error(404, "not_found")

    def found(self, request: Request) -> Reply:
        name = json.loads(re.fullmatch(r"equals\(name,(.*)\)", request.query["filter"])[1])
        rows = [
            {"type": "list", "id": known, "attributes": {"name": about["name"]}}
            for known, about in self.lists.items() if about["name"] == name
        ]
        return Reply(200, {"data": rows[:10], "links": {"next": None}})

    def created(self, request: Request) -> Reply:
        known = f"L{len(self.lists):05}"
        name = request.json["data"]["attributes"]["name"]
        self.lists[known] = {"name": name, "members": set()}
        return Reply(201, {"data": {"type": "list", "id": known, "attributes": {"name": name}}})

    def imported(self, request: Request) -> Reply:
        data = request.json["data"]
        profiles = data["attributes"]["profiles"]["data"]
        if len(request.body) > 5_000_000 or not 1 <= len(profiles) <= 10_000:
            self.wrong.append(f"{len(profiles)} profiles in {len(request.body)} bytes")
            return _error(413, "payload_too_large")
        if any(len(json.dumps(profile)) > 100_000 for profile in profiles):
            self.wrong.append("a profile is too large")
        faults = []
        for place, profile in enumerate(profiles):
            about = profile["attributes"]
            email, phone = about.get("email", "a@b.cd"), about.get("phone_number", "+4915112345678")
            keyed = {"email", "phone_number", "external_id"} & about.keys() or profile.get("id") in self.profiles
            if not keyed or not _EMAIL.fullmatch(email) or not _PHONE.fullmatch(phone):
                self.wrong.append("a profile without an identifier, or with one of another form")
            if {email, phone} & self.reject:
                pointer = f"/data/attributes/profiles/data/{place}/attributes/email"
                faults.append({"code": "invalid", "detail": f"{email} is not valid", "source": {"pointer": pointer}})
        if faults:
            return Reply(400, {"errors": faults[:3]})
        lists = [row["id"] for row in data.get("relationships", {}).get("lists", {}).get("data", [])]
        job = f"job{len(self.jobs)}"
        self.jobs[job] = {"profiles": profiles, "lists": lists, "looks": self.looks, "errors": []}
        return Reply(202, {"data": {"type": "profile-bulk-import-job", "id": job, "attributes": {"status": "queued"}}})

    def looked(self, job: str) -> Reply:
        state = self.jobs[job]
        state["looks"] -= 1
        if state["looks"] == 0:
            for profile in state["profiles"]:
                self.upserted(profile, state)
        status = "complete" if state["looks"] <= 0 else "processing"
        failed = len(state["errors"])
        return Reply(200, {"data": {"id": job, "attributes": {"status": status, "failed_count": failed}}})

    def upserted(self, profile: dict, state: dict) -> None:
        about = dict(profile["attributes"])
        properties = about.pop("properties", {})
        keys = {pair for pair in about.items()}
        if self.refuse & set(about.values()):
            number = len(state["errors"])
            state["errors"].append({
                "code": "invalid", "title": "Invalid input", "detail": "jane.doe@example.com is not valid",
                "source": {"pointer": "/data/attributes/email"} if number % 2 else {},
                "original_payload": {**about, "properties": {}},
            })
            return
        known = profile.get("id") or next((self.index[pair] for pair in sorted(keys) if pair in self.index), None)
        if known is None:
            known = f"P{len(self.profiles):06}"
        kept = self.profiles.setdefault(known, {"properties": {}})
        kept.update(about)
        kept["properties"].update(properties)
        self.index |= {pair: known for pair in keys}
        for wanted in state["lists"]:
            self.lists[wanted]["members"].add(known)

    def errors(self, job: str, request: Request) -> Reply:
        rows = self.jobs[job]["errors"]
        first = int(request.query.get("page[cursor]", "0"))
        page = [{"type": "import-error", "id": str(place), "attributes": row} for place, row in enumerate(rows)]
        following = f"{self.url}{request.path}?page%5Bcursor%5D={first + 2}" if first + 2 < len(rows) else None
        return Reply(200, {"data": page[first:first + 2], "links": {"next": following}})

    def taken_off(self, known: str, request: Request) -> Reply:
        ids = [row["id"] for row in request.json["data"]]
        if not 1 <= len(ids) <= 1_000:
            self.wrong.append(f"{len(ids)} profiles off a list")
            return _error(400, "invalid")
        self.lists[known]["members"] -= set(ids)
        return Reply(204)

    def filtered(self, request: Request) -> Reply:
        match = re.fullmatch(r"any\((email|phone_number|external_id),(\[.*\])\)", request.query["filter"])
        key, values = match[1], json.loads(match[2])
        if len(values) > 100:
            self.wrong.append(f"{len(values)} values in one look-up")
        rows = [
            {"type": "profile", "id": self.index[key, value], "attributes": {key: value}}
            for value in values if (key, value) in self.index
        ]
        first = int(request.query.get("page[cursor]", "0"))
        following = f"{self.url}/api/profiles?page%5Bcursor%5D={first + 20}" if first + 20 < len(rows) else None
        return Reply(200, {"data": rows[first:first + 20], "links": {"next": following}})


def _error(status: int, code: str) -> Reply:
    return Reply(status, {"errors": [{"code": code, "title": "no", "detail": "jane.doe@example.com is the matter"}]})
