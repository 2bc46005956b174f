"""Files, webhooks and messages: what arrives, what comes twice, what is refused, and what is never said."""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import io
import json
from datetime import UTC, datetime

import pytest
from hooks import hooked
from moto import mock_aws
from platforms.server import Virtual
from platforms.sftp import SftpServer, sftp_served

from segment_lib.sync.contract import Audience, Batch, DeliveryError, Record
from segment_lib.sync.destinations import open_destination

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
AUDIENCE = Audience("loyal", "Loyal customers")
PEOPLE = [Record(f"c{number}", {"email": (f"p{number}@example.com",)}, {"tier": "gold"}) for number in range(25)]
ADD, REMOVE = Batch("night1", "add", tuple(PEOPLE)), Batch("night2", "remove", tuple(PEOPLE[:3]))
SECRET = "whsec_" + base64.b64encode(b"twenty-four random bytes").decode()


def opened(kind: str, options: dict, **environ: str):
    credentials = {name: f"env:{name}" for name in environ}
    return open_destination(
        kind, {"attempts": 5, "timeout": 2, **options}, credentials, environ=environ, now=lambda: NOW,
        clock=Virtual().clock,
    )


# Webhook ------------------------------------------------------------------------------------------------------------


def test_a_webhook_is_signed_and_a_repetition_has_the_same_key():
    with hooked(500, 200) as hook:
        sender = opened("webhook", {"url": f"{hook.url}/"}, secret=SECRET, token="t0ken")
        assert sender.send(AUDIENCE, ADD).accepted == 25
    assert len(hook.calls) == 2
    for path, headers, body in hook.calls:
        assert path == "/hook/"
        text = b".".join((b"night1", headers["webhook-timestamp"].encode(), body))
        digest = hmac.new(b"twenty-four random bytes", text, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
        assert headers["idempotency-key"] == headers["webhook-id"] == "night1"
        assert headers["authorization"] == "Bearer t0ken"
    said = json.loads(body)
    assert (said["audience"], said["action"], said["key"]) == ("Loyal customers", "add", "night1")
    assert said["records"][0] == {"identifiers": {"email": ["p0@example.com"]}, "properties": {"tier": "gold"}}
    assert "c0" not in body.decode()


def test_a_body_is_no_longer_than_the_limit_that_conf_sets():
    with hooked() as hook:
        sender = opened("webhook", {"url": hook.url, "bytes": 4000}, secret=SECRET)
        fitting, size = [], 0
        for record in PEOPLE * 10:
            size += sender.size_of(record)
            if size > sender.limits.bytes:
                break
            fitting.append(record)
        sender.send(AUDIENCE, Batch("k" * 64, "remove", tuple(fitting)))
    assert 3000 < len(hook.calls[0][2]) <= 4000


def test_a_webhook_that_refuses_says_so_without_its_address():
    with hooked(403) as hook, pytest.raises(DeliveryError, match="webhook: .* answered with 403") as caught:
        opened("webhook", {"url": hook.url}, secret=SECRET).send(AUDIENCE, ADD)
    assert hook.url not in str(caught.value) and SECRET not in str(caught.value)
    with pytest.raises(DeliveryError, match="what follows is not base64"):
        opened("webhook", {"url": "https://example.com"}, secret="whsec_%%").send(AUDIENCE, ADD)


# Files --------------------------------------------------------------------------------------------------------------


def lines(data: bytes) -> list[dict]:
    return [json.loads(line) for line in gzip.decompress(data).splitlines()]


def test_files_in_a_folder_are_written_once(tmp_path):
    sender = opened("drop", {"url": str(tmp_path)})
    audience = Audience("loyal", AUDIENCE.name, sender.open(AUDIENCE))
    for _ in range(2):
        assert sender.send(audience, ADD).remote_batch == f"{audience.remote_id}/night1.add.jsonl.gz"
    sender.send(audience, REMOVE)
    files = sorted(file for file in tmp_path.rglob("*.gz"))
    assert [file.name for file in files] == ["night1.add.jsonl.gz", "night2.remove.jsonl.gz"]
    first = lines(files[0].read_bytes())
    assert len(first) == 25 and first[0] == {
        "action": "add", "identifiers": {"email": ["p0@example.com"]}, "properties": {"tier": "gold"}
    }
    assert {line["action"] for line in lines(files[1].read_bytes())} == {"remove"}


def test_names_that_are_no_file_names_stay_apart(tmp_path):
    sender = opened("drop", {"url": str(tmp_path)})
    names = ["a b", "a_b", "a/b", "../../etc", "", "é", "ü", "x" * 300, "x" * 301]
    ids = [sender.open(Audience("s", name)) for name in names]
    assert len(set(ids)) == len(names) and not [known for known in ids if "/" in known or known.startswith(".")]
    for known in ids:
        sender.send(Audience("s", "s", known), REMOVE)


def test_files_on_s3(monkeypatch):
    aws(monkeypatch)
    with mock_aws():
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket="drops", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        sender = opened("drop", {"url": "s3://drops/shop"})
        for _ in range(2):
            sender.send(AUDIENCE, ADD)
        (only,) = client.list_objects_v2(Bucket="drops")["Contents"]
        assert len(lines(client.get_object(Bucket="drops", Key=only["Key"])["Body"].read())) == 25
        with pytest.raises(DeliveryError, match="NoSuchBucket"):
            opened("drop", {"url": "s3://nowhere/x"}).send(AUDIENCE, ADD)


def by_sftp(server: SftpServer, **more) -> object:
    options = {"url": f"sftp://shop@127.0.0.1:{server.port}/out/shop", "host_key": server.host_key}
    return opened("drop", options | more.pop("options", {}), **more)


def test_files_by_sftp_are_there_whole_and_once(tmp_path):
    with sftp_served(tmp_path) as server:
        sender = by_sftp(server, password=server.password)
        server.faults = 2
        for _ in range(2):
            sender.send(AUDIENCE, ADD)
        (file,) = [file for file in tmp_path.rglob("*") if file.is_file()]
        assert file.name == "night1.add.jsonl.gz" and len(lines(file.read_bytes())) == 25 and len(server.written) == 1


def test_sftp_with_a_key(tmp_path):
    with sftp_served(tmp_path) as server:
        text = io.StringIO()
        server.client_key.write_private_key(text)
        by_sftp(server, private_key=text.getvalue()).send(AUDIENCE, REMOVE)
        assert len(server.written) == 1


def test_sftp_sends_nothing_to_a_server_with_another_key(tmp_path):
    with sftp_served(tmp_path) as server:
        other = SftpServer(tmp_path).host_key
        with pytest.raises(DeliveryError, match="another key than host_key says"):
            by_sftp(server, password=server.password, options={"host_key": other}).send(AUDIENCE, ADD)
        with pytest.raises(DeliveryError, match="does not accept the user") as caught:
            by_sftp(server, password="wr0ng").send(AUDIENCE, ADD)
        assert "wr0ng" not in str(caught.value)
        with pytest.raises(DeliveryError, match="is no key of SSH"):
            by_sftp(server, private_key="s3cret").send(AUDIENCE, ADD)
    assert server.written == [] and not list(tmp_path.iterdir())
    with pytest.raises(DeliveryError, match="failed 5 times: the server cannot be reached"):
        by_sftp(server, password=server.password).send(AUDIENCE, ADD)


# AWS ----------------------------------------------------------------------------------------------------------------


def aws(monkeypatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue(monkeypatch):
    """A queue, and a way to empty it."""
    aws(monkeypatch)
    with mock_aws():
        import boto3

        client = boto3.client("sqs")
        url = client.create_queue(QueueName="changes")["QueueUrl"]

        def messages() -> list[dict]:
            found = []
            while rows := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
                for row in rows:
                    found.append(json.loads(row["Body"]))
                    client.delete_message(QueueUrl=url, ReceiptHandle=row["ReceiptHandle"])
            return found

        arn = client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        yield url, arn, messages


def test_a_message_a_change_in_a_queue(queue):
    url, _, messages = queue
    sender = opened("sqs", {"target": url})
    assert sender.send(AUDIENCE, ADD).accepted == 25
    first = messages()
    assert len(first) == 25 and {message["action"] for message in first} == {"add"}
    assert first[0]["audience"] == "Loyal customers" and first[0]["properties"] == {"tier": "gold"}
    sender.send(AUDIENCE, ADD)
    assert {message["id"] for message in messages()} == {message["id"] for message in first}
    assert "c0" not in json.dumps([message["identifiers"] for message in first])


def test_a_fifo_queue_sees_a_repetition_itself(queue):
    import boto3

    client = boto3.client("sqs")
    url = client.create_queue(QueueName="changes.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    sender = opened("sqs", {"target": url})
    for _ in range(2):
        sender.send(AUDIENCE, ADD)
    count = client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert count["Attributes"]["ApproximateNumberOfMessages"] == "25"


def test_a_topic(queue):
    import boto3

    _, arn, messages = queue
    client = boto3.client("sns")
    topic = client.create_topic(Name="changes")["TopicArn"]
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    assert opened("sns", {"target": topic}).send(AUDIENCE, REMOVE).accepted == 3
    assert sorted(message["identifiers"]["email"][0] for message in messages()) == [f"p{n}@example.com" for n in range(3)]


def test_a_bus_of_events(queue):
    import boto3

    _, arn, messages = queue
    client = boto3.client("events")
    client.create_event_bus(Name="shop")
    client.put_rule(Name="all", EventBusName="shop", EventPattern='{"detail-type": ["audience.add"]}')
    client.put_targets(Rule="all", EventBusName="shop", Targets=[{"Id": "q", "Arn": arn}])
    sender = opened("eventbridge", {"target": "shop", "source": "seglake.shop"})
    assert sender.send(AUDIENCE, ADD).accepted == 25 and sender.send(AUDIENCE, REMOVE).accepted == 3
    found = messages()
    assert len(found) == 25 and {event["source"] for event in found} == {"seglake.shop"}
    assert found[0]["detail"]["action"] == "add"


class Partly:
    """A client that takes some messages, is busy for others, and calls one the sender's fault."""

    def __init__(self, client):
        self.client, self.calls = client, 0

    def send_message_batch(self, **request) -> dict:
        from botocore.exceptions import ClientError, EndpointConnectionError

        self.calls += 1
        if self.calls == 1:
            raise EndpointConnectionError(endpoint_url="https://p0@example.com")
        if self.calls == 2:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "p0@example.com"}}, "SendMessageBatch")
        taken = request["Entries"][::2]
        said = self.client.send_message_batch(QueueUrl=request["QueueUrl"], Entries=taken)
        failed = [
            {"Id": entry["Id"], "Code": "InvalidMessageContents", "SenderFault": True} if entry["Id"] == "3"
            else {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
            for entry in request["Entries"][1::2]
        ]
        return {"Successful": said["Successful"], "Failed": failed}


def test_messages_that_were_not_taken_are_sent_again_and_faulty_ones_refused(queue):
    url, _, messages = queue
    sender = opened("sqs", {"target": url, "attempts": 12})
    sender._client = Partly(sender._client)
    delivery = sender.send(AUDIENCE, ADD)
    assert [(row.customer_id, row.reason) for row in delivery.refused] == [("c3", "InvalidMessageContents")]
    taken = sorted(message["identifiers"]["email"][0] for message in messages())
    assert taken == sorted(f"p{number}@example.com" for number in range(25) if number != 3)


def test_a_queue_that_is_not_there_and_a_message_that_is_too_long(queue):
    url, _, messages = queue
    with pytest.raises(DeliveryError, match="sqs: AWS refuses the messages, code .*NonExistentQueue"):
        opened("sqs", {"target": url + "2"}).send(AUDIENCE, ADD)
    long = Record("c-long", {"email": ("l@example.com",)}, {"note": "x" * 300_000})
    delivery = opened("sqs", {"target": url}).send(AUDIENCE, Batch("k", "add", (PEOPLE[0], long)))
    assert [row.reason for row in delivery.refused] == ["too_large"] and len(messages()) == 1
