"""Conf: precedence, merging, tenants, paths, and every fault with its file and line. No Spark."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from segment_lib.conf import load_settings, read_conf
from segment_lib.errors import ConfError, UsageError


def write(folder: Path, **files: str) -> str:
    """A conf folder with these files: `base` is base.yaml, `tenants__acme` is tenants/acme/base.yaml."""
    for name, text in files.items():
        path = folder / "conf" / ("base.yaml" if name == "base" else f"{name.replace('__', '/')}/base.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return str(folder / "conf")


def faults(conf: str, **options) -> list[str]:
    """The issues as text, with file names relative to the conf folder."""
    with pytest.raises(ConfError) as raised:
        load_settings(conf, **options)
    return [str(issue).replace(f"{conf}/", "") for issue in raised.value.issues]


def test_what_is_said_later_wins(tmp_path):
    conf = write(
        tmp_path,
        base="tenant: acme\ncurrency: EUR\ngates: {max_turnover: 0.1, min_rows_ratio: 0.1}\nretention: {snapshots: 5}",
        tenants__acme="gates: {max_turnover: 0.2}\ncurrency: USD",
    )
    settings = load_settings(
        conf, overrides={"retention": {"snapshots": 9}},
        environ={"SEGLAKE__CURRENCY": "CHF", "SEGLAKE__RETENTION__SNAPSHOTS": "7", "SEGLAKE_MASTER": "x", "HOME": "x"},
    )
    assert (settings.currency, settings.retention.snapshots) == ("CHF", 9)
    assert (settings.gates.max_turnover, settings.gates.min_rows_ratio) == (0.2, 0.1)


def test_a_tenant_sees_its_own_conf(tmp_path):
    conf = write(tmp_path, base="tenant: shop", tenants__acme="time_zone: Asia/Tokyo")
    assert load_settings(conf).time_zone == "UTC"
    assert load_settings(conf, "acme").tenant == "acme"
    assert load_settings(conf, environ={"SEGLAKE__TENANT": "acme"}).time_zone == "Asia/Tokyo"


@pytest.mark.parametrize("tenant", ["*", "{a,b}", "..", "a/../b", "a%2Fb", "A", "shop ", "shop.", "-", ""])
def test_a_tenant_is_a_plain_name(tmp_path, tenant):
    conf = write(tmp_path, base=f"tenant: {tenant!r}")
    with pytest.raises(UsageError, match="is not a tenant id"):
        load_settings(conf)


def test_an_unknown_tenant_is_named_with_the_nearest(tmp_path):
    conf = write(tmp_path, base="tenant: shop", tenants__acme="{}")
    with pytest.raises(UsageError, match="no tenant 'acne'; did you mean 'acme'"):
        load_settings(conf, "acne")


def test_a_conf_that_names_no_tenant_serves_any(tmp_path):
    assert load_settings(write(tmp_path, base="currency: EUR"), "anyone").tenant == "anyone"


def test_paths_are_relative_to_the_project(tmp_path):
    conf = write(tmp_path, base="root: data/lake\ninputs: {orders: {path: ../erp/orders}, events: {path: s3://b/e}}")
    settings = load_settings(conf)
    assert settings.root == str(tmp_path / "data" / "lake")
    assert settings.inputs["orders"].path == str(tmp_path.parent / "erp" / "orders")
    assert settings.inputs["events"].path == "s3a://b/e"


def test_options_of_spark_may_be_written_plainly(tmp_path):
    conf = write(
        tmp_path,
        base="spark: {spark.sql.shuffle.partitions: 8, spark.ui.enabled: false}\n"
             "inputs: {orders: {options: {header: true, delimiter: ';'}}}",
    )
    settings = load_settings(conf)
    assert settings.spark == {"spark.sql.shuffle.partitions": "8", "spark.ui.enabled": "false"}
    assert settings.inputs["orders"].options == {"header": "true", "delimiter": ";"}


def test_decimals_stay_exact(tmp_path):
    conf = write(tmp_path, base="ingest: {rates: [{currency: USD, since: 2026-01-01, rate: 0.1}]}")
    assert load_settings(conf).ingest.rates[0].rate == Decimal("0.1")


def test_every_fault_comes_at_once_with_its_place(tmp_path):
    conf = write(
        tmp_path,
        base="tenant: acme\n"
             "rooot: lake\n"
             "currency: eur\n"
             "catalogue:\n"
             "  event_types:\n"
             "    page_viewed: {url: txt}\n"
             "inputs:\n"
             "  ordrs: {}\n"
             "  orders:\n"
             "    columns:\n"
             "      order_id: {source: a, value: b}\n"
             "      revenue: {sorce: a}\n"
             "gates: {max_turnover: 1.5}\n"
             "ingest: 3\n",
        tenants__acme="time_zone: Europe/Brlin\ngates: {max_reject_rat: 0.1}\n",
    )
    assert faults(conf, environ={"SEGLAKE__RETENTION__SNAPSHOTS": "1"}) == [
        "base.yaml:2: rooot: unknown key 'rooot'; did you mean 'root'?",
        "base.yaml:3: currency: string should match pattern '^[A-Z]{3}$'",
        "base.yaml:6: catalogue.event_types.page_viewed.url: 'txt' is not one of the known values; "
        "did you mean 'text'?",
        "base.yaml:8: inputs.ordrs: 'ordrs' is not one of the known values; did you mean 'orders'?",
        "base.yaml:11: inputs.orders.columns.order_id: give either 'source' or 'value'",
        "base.yaml:12: inputs.orders.columns.revenue.sorce: unknown key 'sorce'; did you mean 'source'?",
        "base.yaml:13: gates.max_turnover: input should be less than or equal to 1",
        "base.yaml:14: ingest: must be a mapping of keys to values",
        "tenants/acme/base.yaml:1: time_zone: 'Europe/Brlin' is not a time zone of the IANA database, "
        "such as Europe/Berlin",
        "tenants/acme/base.yaml:2: gates.max_reject_rat: unknown key 'max_reject_rat'; did you mean 'max_reject_rate'?",
        "environment SEGLAKE__RETENTION__SNAPSHOTS:1: retention.snapshots: input should be greater than or equal to 2",
    ]


def test_files_that_cannot_be_read_are_faults_too(tmp_path):
    conf = write(tmp_path, base="a: [\n", tenants__shop="- x\n")
    found = faults(conf)
    assert found[0].startswith("base.yaml:2: not valid YAML")
    assert found[1] == "tenants/shop/base.yaml:1: must be a mapping of keys to values"
    (tmp_path / "conf" / "base.yaml").write_bytes(b"name: \xff")
    assert faults(conf)[0] == "base.yaml:1: not UTF-8 text; save it as UTF-8"
    (tmp_path / "conf" / "base.yaml").unlink()
    assert faults(conf) == ["base.yaml:1: the file is missing; seglake init DIR shows one"]


def test_no_conf_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="there is no conf folder"):
        read_conf(str(tmp_path / "nowhere"))


def test_a_tenant_may_replace_and_add_definitions(tmp_path):
    conf = write(tmp_path, base="{}", tenants__acme="{}")
    for path, text in {"segments/a.yaml": "a", "segments/b.yaml": "b", "tenants/acme/segments/b.yaml": "own"}.items():
        file = Path(conf, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = read_conf(conf)
    assert found.definitions("shop") == {f"{conf}/segments/a.yaml": "a", f"{conf}/segments/b.yaml": "b"}
    assert found.definitions("acme") == {f"{conf}/segments/a.yaml": "a", f"{conf}/tenants/acme/segments/b.yaml": "own"}


def test_names_are_known_though_other_parts_are_faulty(tmp_path):
    conf = write(
        tmp_path,
        base="rooot: 1\ncatalogue: {lists: [vip], event_fields: {url: txt, page: text}, order_statuses: [paid]}",
    )
    catalogue = read_conf(conf).catalogue()
    assert (catalogue.lists, list(catalogue.event_fields), catalogue.order_statuses) == (("vip",), ["page"], ("paid",))


def test_conf_may_lie_on_s3(monkeypatch):
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for key, text in {"base.yaml": "root: lake", "segments/a.yaml": "a", "notes.txt": "x"}.items():
            client.put_object(Bucket="bucket", Key=f"shop/conf/{key}", Body=text.encode())
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        conf = read_conf("s3://bucket/shop/conf")
        assert conf.settings().root == "s3a://bucket/shop/lake"
        assert conf.definitions("shop") == {"s3://bucket/shop/conf/segments/a.yaml": "a"}
        client.put_object(Bucket="bucket", Key="shop/conf/base.yaml", Body=b"rot: lake")
        with pytest.raises(ConfError, match=r"s3://bucket/shop/conf/base.yaml:1: rot: unknown key 'rot'"):
            read_conf("s3://bucket/shop/conf").settings()
