"""TikTok's custom audiences: every answer is 200, and its code says how it went."""

from __future__ import annotations

import hashlib
import re

from platforms.server import Platform, Reply, Request

TOKEN = "token-of-tiktok"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_EMPTY = hashlib.sha256(b"").hexdigest()


class FakeTikTok(Platform):
    """Audiences hold (key, hash); the limits are those of an app of the basic level."""

    advertiser = "7000000000000000001"
    limits = {"": (10, 600)}

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.audiences: dict[str, dict] = {}

    def members(self, audience: str) -> set[tuple[str, str]]:
        return self.audiences[audience]["ids"]

    def busy(self, wait: float) -> Reply:
        return _said(40100, "Too many requests")

    def broken(self) -> Reply:
        return self.random.choice((super().broken(), _said(50000, "System error")))

    def answer(self, request: Request) -> Reply:
        if request.headers.get("access-token") != TOKEN:
            return _said(40105, "Access token is incorrect")
        path = request.path.removeprefix("/open_api/v1.3")
        if path == "/dmp/custom_audience/list/" and request.method == "GET":
            if request.query.get("advertiser_id") != self.advertiser:
                return _said(40002, "advertiser")
            rows = [{"audience_id": known, "name": about["name"]} for known, about in self.audiences.items()]
            page = int(request.query["page"])
            info = {"page": page, "total_page": max(1, -(-len(rows) // 2))}
            return _said(0, "OK", {"list": rows[2 * page - 2:2 * page], "page_info": info})
        if path == "/segment/audience/" and request.json.get("action") == "create":
            known = str(7_100_000_000_000_000_000 + len(self.audiences))
            self.audiences[known] = {"name": request.json["custom_audience_name"], "ids": set()}
            return _said(0, "OK", {"audience_id": known})
        if path == "/segment/mapping/" and request.method == "POST":
            return self.mapped(request)
        return _said(40002, "no such path")

    def mapped(self, request: Request) -> Reply:
        schema, rows, action = (request.json[key] for key in ("id_schema", "batch_data", "action"))
        good = (
            request.json["advertiser_ids"] == [self.advertiser] and action in ("add", "delete")
            and set(schema) <= {"EMAIL_SHA256", "PHONE_SHA256"} and 1 <= len(rows) <= 1_000
            and len(request.body) <= 1_100_000 and all(len(row) == len(schema) and any(row) for row in rows)
        )
        ids = [(key, cell) for row in rows for key, cell in zip(schema, row, strict=False) if cell]
        if not good or not all(_SHA256.fullmatch(cell["id"]) and cell["id"] != _EMPTY for _, cell in ids):
            self.wrong.append("a mapping that TikTok refuses")
            return _said(40002, "jane.doe@example.com is not valid")
        for key, cell in ids:
            for audience in cell["audience_ids"]:
                if audience not in self.audiences:
                    return _said(40002, "audience")
                change = set.add if action == "add" else set.discard
                change(self.members(audience), (key, cell["id"]))
        return _said(0, "OK", {})


def _said(code: int, message: str, data: object = None) -> Reply:
    return Reply(200, {"code": code, "message": message, "request_id": f"2026{code}", "data": data or {}})
