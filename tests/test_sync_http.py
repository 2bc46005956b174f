"""The layer below the platforms: rates, waits, retries, secrets, and what conf may say."""

from __future__ import annotations

import json
import pickle
import socket
import threading
from datetime import UTC, datetime

import pytest
from hooks import hooked
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws
from platforms.server import Virtual

from segment_lib.errors import UsageError
from segment_lib.sync.contract import DeliveryError
from segment_lib.sync.destinations import DEFAULT_PROFILE, TYPES, check, open_destination
from segment_lib.sync.http import Http, asked_to_wait
from segment_lib.sync.profiles import NAMES
from segment_lib.sync.rates import Rate
from segment_lib.sync.retries import Patience
from segment_lib.sync.secrets import is_reference, resolve

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FREE = Rate(None, None)


def http(url: str, time: Virtual, **patience) -> Http:
    wanted = Patience(**{"timeout": 2, "attempts": 4, **patience})
    return Http("shop", url, lambda: {"authorization": "Bearer s3cret"}, now=lambda: NOW, patience=wanted, clock=time.clock)


# Rates --------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 60), st.lists(st.floats(0, 5), max_size=150))
def test_no_window_ever_has_more_requests_than_allowed(per_second, per_minute, pauses):
    time, times = Virtual(), []
    rate = Rate(per_second, per_minute, time.clock)
    for pause in pauses:
        time.sleep(pause)
        rate.acquire()
        times.append(time.time)
    for window, most in ((1.0, per_second), (60.0, per_minute)):
        for place in range(len(times) - most):
            assert times[place + most] - times[place] >= window - 1e-6


def test_the_rate_is_used_to_the_full():
    time = Virtual()
    rate = Rate(10, 150, time.clock)
    for _ in range(451):
        rate.acquire()
    assert time.time == pytest.approx(180)


def test_less_than_one_request_a_second():
    time = Virtual()
    rate = Rate(0.5, None, time.clock)
    for _ in range(4):
        rate.acquire()
    assert time.time == pytest.approx(6)


def test_a_pause_holds_everybody_up_once():
    time = Virtual()
    rate = Rate(None, None, time.clock)
    rate.pause(5)
    for _ in range(3):
        rate.acquire()
    assert time.time == pytest.approx(5)


# Retries ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seconds"), [
    ("7", 7.0), ("0.5", 0.5), ("Mon, 23 Nov 2026 08:00:30 GMT", 30.0), ("Mon, 23 Nov 2026 07:00:00 GMT", 0.0),
    ("soon", None), ("", None), ("-3", None), ("1e9", None),
])
def test_what_retry_after_says(text, seconds):
    assert asked_to_wait({"RETRY-after": text}, NOW) == seconds


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_passing_faults_are_tried_again(status):
    time = Virtual()
    with hooked(status, status, 200) as hook:
        assert http(hook.url, time).call("POST", "", rate=FREE, data={"a": 1}).status == 200
    assert len(hook.calls) == 3 and {call[2] for call in hook.calls} == {b'{"a":1}'} and time.time > 0


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413])
def test_answers_that_are_final_are_given_as_they_are(status):
    with hooked(status, location="http://127.0.0.1:1/elsewhere") as hook:
        assert http(hook.url, Virtual()).call("POST", "", rate=FREE, data={}).status == status
    assert len(hook.calls) == 1


def test_it_gives_up_after_its_attempts_and_says_so():
    with hooked(*[503] * 9) as hook, pytest.raises(DeliveryError, match=r"shop: POST /x failed 4 times: it answered 503"):
        http(hook.url, Virtual()).call("POST", "/x", rate=FREE, data={})
    assert len(hook.calls) == 4


class Busy:
    """A server that answers 429 once, and asks to wait."""

    def __init__(self, wait: str):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url, self.count = f"http://127.0.0.1:{self.server.getsockname()[1]}", 0
        self.wait = wait
        threading.Thread(target=self.work, daemon=True).start()

    def work(self) -> None:
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            link.recv(65_536)
            self.count += 1
            status = "429 Busy" if self.count == 1 else "200 OK"
            headers = f"Retry-After: {self.wait}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            link.sendall(f"HTTP/1.1 {status}\r\n{headers}".encode())
            link.close()


def test_a_wait_is_kept_and_one_beyond_patience_is_an_error_at_once():
    time, busy = Virtual(), Busy("42")
    assert http(busy.url, time).call("GET", "", rate=Rate(None, None, time.clock)).status == 200
    assert time.time == pytest.approx(42)
    patient = Busy("4000")
    with pytest.raises(DeliveryError, match="asks to wait 4000 s, which is longer than the 300 s"):
        http(patient.url, Virtual()).call("GET", "", rate=FREE)
    assert patient.count == 1
    busy.server.close()
    patient.server.close()


def test_a_server_that_is_not_there_and_one_that_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DeliveryError, match="no answer within 0.2 s"):
            http(url, Virtual(), timeout=0.2, attempts=2).call("GET", "", rate=FREE)
    with pytest.raises(DeliveryError, match="cannot be reached"):
        http(url, Virtual(), attempts=2).call("GET", "", rate=FREE)


# Secrets ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "env:", "env:1A", "env:A#b", "aws-sm:", "pk_123", "ENV:A", "env:A B", None, 3])
def test_what_is_no_reference(text):
    assert not is_reference(text)


def test_a_secret_shows_itself_to_who_asks_alone():
    secret = resolve("env:KEY", {"KEY": "s3cret"})
    assert secret.reveal() == "s3cret"
    assert "s3cret" not in f"{secret} {secret!r} {[secret]} { {'a': secret} }"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(DeliveryError, match="environment variable KEY is not set"):
        resolve("env:KEY", {"KEY": ""})
    with pytest.raises(DeliveryError, match="named, never written") as caught:
        resolve("pk_s3cret", {})
    assert "s3cret" not in str(caught.value)


def test_secrets_of_aws(monkeypatch):
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        import boto3

        client = boto3.client("secretsmanager")
        client.create_secret(Name="shop/klaviyo", SecretString=json.dumps({"key": "s3cret", "other": 1}))
        client.create_secret(Name="plain", SecretString="s3cret-text")
        assert resolve("aws-sm:shop/klaviyo#key", {}).reveal() == "s3cret"
        assert resolve("aws-sm:plain", {}).reveal() == "s3cret-text"
        for reference, message in (
            ("aws-sm:gone", "ResourceNotFoundException; look at its name"), ("aws-sm:plain#key", "no JSON object"),
            ("aws-sm:shop/klaviyo#missing", "not set or empty"), ("aws-sm:shop/klaviyo#other", "not set or empty"),
        ):
            with pytest.raises(DeliveryError, match=message) as caught:
                resolve(reference, {})
            assert "s3cret" not in str(caught.value)


# Conf ---------------------------------------------------------------------------------------------------------------

GOOD = {
    "klaviyo": ({}, ["api_key"]), "meta": ({"account": 123}, ["access_token"]),
    "tiktok": ({"advertiser": "7"}, ["access_token"]),
    "google": ({"account": "9", "customer_match_terms": "accepted"}, ["service_account"]),
    "drop": ({"url": "s3://bucket/out"}, []), "webhook": ({"url": "https://example.com/in"}, ["secret"]),
    "sqs": ({"target": "https://sqs.eu-central-1.amazonaws.com/123456789012/changes"}, []),
    "sns": ({"target": "arn:aws:sns:eu-central-1:123456789012:changes"}, []), "eventbridge": ({"target": "default"}, []),
    "email": ({"host": "smtp.example.com", "from": "shop@example.com"}, []),
}


@pytest.mark.parametrize("kind", TYPES)
def test_every_kind_has_conf_that_is_right_and_a_profile(kind):
    options, names = GOOD[kind]
    assert check(kind, options, dict.fromkeys(names, "env:X")) == [] and DEFAULT_PROFILE[kind] in NAMES


@pytest.mark.parametrize(("kind", "options", "credentials", "fault"), [
    ("klavio", {}, {}, "did you mean 'klaviyo'"),
    ("klaviyo", {}, {}, "credentials.api_key: missing"),
    ("klaviyo", {}, {"api_key": "pk_s3cret"}, "named, never written"),
    ("klaviyo", {}, {"api_key": "env:K", "apikey": "env:K"}, "not used; did you mean 'api_key'"),
    ("klaviyo", {"place": "s3cret"}, {"api_key": "env:K"}, "place: Input should be 'list'"),
    ("klaviyo", {"url": "http://a.klaviyo.com"}, {"api_key": "env:K"}, "url: the address begins with https://"),
    ("webhook", {"url": "https://u:s3cret@example.com"}, {"secret": "env:K"}, "has a login"),
    ("webhook", {"url": "https://example.com/?key=s3cret"}, {"secret": "env:K"}, "a query"),
    ("google", {"account": "9"}, {"service_account": "env:K"}, "customer_match_terms: Field required"),
    ("meta", {"account": "act_9"}, {"access_token": "env:K"}, "account: "),
    ("drop", {"url": "sftp://u@example.com/in"}, {}, "host_key is needed"),
    ("drop", {"url": "sftp://u:s3cret@example.com/in"}, {}, "url: "),
    ("sqs", {"target": "changes"}, {}, "target: "),
])
def test_faults_in_conf_are_told_without_repeating_values(kind, options, credentials, fault):
    said = "; ".join(check(kind, options, credentials))
    assert fault in said and "s3cret" not in said
    with pytest.raises(UsageError, match="destination of type"):
        open_destination(kind, options, credentials, environ={"K": "x"}, now=lambda: NOW)


def test_a_profile_and_a_region_are_checked():
    assert "no hash profile" in check("drop", GOOD["drop"][0], {}, profile="md5")[0]
    assert "two capital letters" in check("drop", GOOD["drop"][0], {}, region="de")[0]


def test_a_service_account_that_is_none_is_not_quoted():
    for text in ("s3cret", '{"private_key": "s3cret"}', '["s3cret"]'):
        with pytest.raises(DeliveryError, match="not the JSON key") as caught:
            open_destination("google", GOOD["google"][0], {"service_account": "env:K"}, environ={"K": text}, now=lambda: NOW)
        assert "s3cret" not in str(caught.value) and caught.value.__suppress_context__
