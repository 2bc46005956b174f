"""Hash profiles: the vendors' own vectors, and what holds for every value."""

from __future__ import annotations

import pickle

import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segment_lib.errors import UsageError
from segment_lib.sync import profiles
from segment_lib.sync.identifiers import identifiers
from segment_lib.sync.profiles import MOST_VALUES, NAMES, RULES, profile, sha256

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
META, GOOGLE, TIKTOK, E164, KLAVIYO = (
    "meta-2025-09", "google-2025-10", "tiktok-2025-08", "tiktok-e164", "klaviyo-2026-07"
)


def one(name: str, column: str, value: object, region: str | None = None) -> str | None:
    found = profile(name, region).of({column: value})
    return found[column][0] if column in found else None


@pytest.mark.parametrize(("name", "value", "starts"), [
    (META, "  Jane.Doe+News@Gmail.com ", "f41439c944a763c9"),
    (GOOGLE, "  Jane.Doe+News@Gmail.com ", "d3b270ea0941753c"),
    (TIKTOK, "  Jane.Doe+News@Gmail.com ", "831f6494ad6be4fc"),
    # The example of TikTok's help page, the same everywhere.
    *((name, "janedoe@gmail.com", "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69")
      for name in (META, GOOGLE, TIKTOK, E164)),
    # Google's own tests of its formatter.
    (GOOGLE, "alexz@example.com", "509e933019bb285a134a9334b8bb679dff79d0ce023d529af4bd744d47b4fd8a"),
    (GOOGLE, "Jefferson.LOVES.Hiking@googlemail.com", sha256("jeffersonloveshiking@googlemail.com")),
    (GOOGLE, "QuinnY@EXAMPLE.com", sha256("quinny@example.com")),
    (KLAVIYO, " Jane.Doe@Example.com", "jane.doe@example.com"),
])
def test_addresses(name, value, starts):
    assert one(name, "email", value).startswith(starts)


@pytest.mark.parametrize(("name", "value", "region", "expected"), [
    (META, "+1 (650) 555-0134", None, "acef86aa5a531e94"), (TIKTOK, "+1 (650) 555-0134", None, "acef86aa5a531e94"),
    (GOOGLE, "+1 (650) 555-0134", None, "7371a9eeb0a25b48"), (E164, "+1 (650) 555-0134", None, "7371a9eeb0a25b48"),
    (GOOGLE, "+1 800-555-0100", None, "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
    (GOOGLE, "(800) 555-0100", "US", "fb4f73a6ec5fdb7077d564cdd22c3554b43ce49168550c3b12c547b78c517b30"),
    # TikTok's help page asks for a plus, and hashes its example without one.
    (TIKTOK, "+37493828222", None, "65b7e6dcf6f4310f8d7cbfbd78289a753062fb054d6664fb9aaac5df66a422d4"),
    (KLAVIYO, "0151 23456789", "DE", "+4915123456789"), (KLAVIYO, "0039 06 12345678", "DE", "+390612345678"),
    (KLAVIYO, "+44-113-496-0987 ext. 5", None, "+441134960987"),
])
def test_telephone_numbers(name, value, region, expected):
    assert one(name, "phone", value, region).startswith(expected)


@pytest.mark.parametrize("value", [
    None, "", " ", "\t\n", "\u00a0", "\u200b\ufeff", "quinn", " @googlemail.com", "a@b", "@x.com", "a@@x.com",
    "x" * 64, EMPTY, "a@x.com, b@x.com", '"a"@x.com', "a@x..com", 0, float("nan"), "null",
])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_address_gives_nothing(name, value):
    assert profile(name).of({"email": value}) == {}


@pytest.mark.parametrize("value", [None, "", " ", "+A BCD", "0000", "12", "6505550134", "+999123456789", "1" * 40])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_gives_nothing(name, value):
    assert profile(name).of({"phone": value}) == {}


def test_gmail_alone_loses_its_dots_and_only_at_google():
    assert one(GOOGLE, "email", "...@gmail.com") is None
    assert one(GOOGLE, "email", "a.b@example.com") == sha256("a.b@example.com")
    assert one(META, "email", "a.b@gmail.com") == sha256("a.b@gmail.com")
    assert one(E164, "email", "a.b+tag @gmail.com") == sha256("a.b+tag@gmail.com")


def test_a_name_alone_is_nobody():
    assert profile(META).of({"first_name": "Ann", "country": "DE"}) == {}
    found = profile(META).of({"email": "a@example.com", "first_name": " Zoë-Ann ", "country": "DE"})
    assert found["first_name"] == (sha256("zoëann"),) and found["country"] == (sha256("de"),)


def test_the_customer_id_is_in_the_profiles_that_say_so_alone():
    row = {"customer_id": "c-1", "email": "a@example.com", "phone": None}
    with_id = {name for name in NAMES if "c-1" in str(profile(name).of(row))}
    assert with_id == {"plain", "klaviyo-2026-07-id"}


def test_several_values_each_once_and_not_more_than_google_takes():
    row = {"email": ["A@example.com", "a@example.com ", None, "", *(f"p{number}@example.com" for number in range(20))]}
    found = profile(GOOGLE).of(row)["email"]
    assert len(found) == len(set(found)) == MOST_VALUES and found[0] == sha256("a@example.com")


def test_faulty_names_and_regions_are_told():
    with pytest.raises(UsageError, match="did you mean 'meta-2025-09'"):
        profile("meta-2025-9")
    with pytest.raises(UsageError, match="two capital letters"):
        profile(META, "Germany")


texts = st.text(max_size=40)
addresses = st.builds(
    lambda before, local, domain, after: before + local + "@" + domain + after,
    st.sampled_from(["", " ", "\u00a0", "\u200b "]), st.text("aAbß.+-_İſ1", min_size=1, max_size=12),
    st.sampled_from(["gmail.com", "GoogleMail.com", "Example.CO.uk", "münchen.de", "x"]),
    st.sampled_from(["", "\n", " \u200b\t"]),
)


@given(st.one_of(texts, addresses), st.sampled_from(sorted(RULES.keys() - {"phone", "phone_digits"})))
def test_what_is_normal_stays_as_it_is(value, rule):
    normal = RULES[rule](value, None)
    assert normal is None or (normal and RULES[rule](normal, None) == normal)


@given(st.integers(10**6, 10**12).map(str), st.sampled_from([None, "DE", "US", "IT", "JP"]))
def test_a_number_is_normal_after_one_go(value, region):
    normal = profiles.phone(value, region)
    assert normal is None or (normal[0] == "+" and profiles.phone(normal, region) == profiles.phone(normal) == normal)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_a_number_of_every_country_is_the_same_however_it_is_written(region):
    example = phonenumbers.example_number(region)
    written = (
        phonenumbers.format_number(example, form)
        for form in (phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164)
    )
    assert len({profiles.phone(text, region) for text in written}) == 1


@given(st.one_of(texts, addresses), texts, st.sampled_from(NAMES))
def test_nothing_empty_is_ever_hashed_and_every_hash_is_one(email, phone, name):
    found = profile(name, "DE").of({"email": email, "phone": phone, "first_name": email, "device_id": phone})
    hashed = {kind.kind for kind in profile(name).identifiers if kind.hashed}
    for kind, values in found.items():
        for value in values:
            assert value and value != EMPTY
            assert kind not in hashed or (len(value) == 64 and set(value) <= set("0123456789abcdef"))


@settings(deadline=None)  # the first one loads the countries of all numbers
@given(st.lists(st.tuples(addresses | st.none(), st.sampled_from(["+4915112345678", "015112345678", "", None])), max_size=8))
def test_arrow_gives_what_rows_give(rows):
    table = pa.table({
        "customer_id": pa.array([str(number) for number in range(len(rows))], pa.string()),
        "email": pa.array([row[0] for row in rows], pa.string()), "phone": pa.array([row[1] for row in rows], pa.string()),
    })
    for name in NAMES:
        rules = pickle.loads(pickle.dumps(profile(name, "DE")))
        made = identifiers(table, rules)
        assert made.type == pa.map_(pa.string(), pa.list_(pa.string())) and len(made) == len(rows)
        expected = [
            {kind: list(values) for kind, values in rules.of(row).items()} for row in table.to_pylist()
        ]
        assert [dict(row) for row in made.to_pylist()] == expected


def test_a_table_without_any_of_its_columns_gives_nobody():
    batch = pa.record_batch({"other": [1, 2]})
    assert identifiers(batch, profile(META)).to_pylist() == [[], []]
