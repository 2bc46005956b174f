"""`consent`: permission to use a channel."""

from __future__ import annotations

from cases import AS_OF, THIRTY, TICK, Case, bought, each, issues, label, merged, person, told, words

FLAGS = (
    person("email", email_consent=True), person("sms", sms_consent=True), person("push", push_consent=True),
    person("no", email_consent=False, sms_consent=False, push_consent=False), person("unsaid"), bought("guest"),
)
GIVEN = (
    person("under", email_consent=True, email_consent_at=THIRTY - TICK),
    person("start", email_consent=True, email_consent_at=THIRTY),
    person("last", email_consent=True, email_consent_at=AS_OF - TICK), person("undated", email_consent=True),
    person("withdrawn", email_consent=False, email_consent_at=THIRTY), person("unsaid", email_consent_at=THIRTY),
)

CASES = (
    Case("consent", "email", {"consent": "email"}, "email", FLAGS),
    Case("consent", "sms", {"consent": "sms"}, "sms", FLAGS),
    Case("consent", "push", {"consent": "push"}, "push", FLAGS),
    Case("consent", "not is no consent, said or not", {"not": {"consent": "email"}}, "guest no push sms unsaid", FLAGS),
    Case("consent", "that of the canonical id counts", {"consent": "email"}, "main", (
        person("main", email_consent=True), person("old", email_consent=False), merged("old", "main"),
        person("bare"), person("gave", email_consent=True), merged("gave", "bare"))),
    Case("since", "from its first instant; without a time it meets nothing",
         {"consent": "email", "since": {"in_last": "30d"}}, "last start", GIVEN),
    Case("since", "longer ago", {"consent": "email", "since": {"not_in_last": "30d"}}, "under", GIVEN),
    Case("since", "on a local day", {"consent": "email", "since": {"on": "2026-06-01"}}, "start", GIVEN),
    Case("since", "at a time that is not known", {"consent": "email", "since": {"known": False}}, "undated", GIVEN),
    Case("since", "of the channel that is named", {"consent": "sms", "since": {"known": True}}, "", GIVEN),
)


@each(CASES)
def test_case(case, answers):
    assert answers[case] == (case.found, case.found)


@words(
    ({"consent": "email"}, "email consent"),
    ({"consent": "push", "since": {"in_last": "30d"}}, "push consent given in last 30d"),
)
def test_words(where, said):
    assert label(where) == said


@told(
    ("where:\n  consent: fax", "x.yaml:2: where.consent: 'fax' is not possible here; write 'email', 'sms' or 'push'"),
    ("where:\n  consent: email\n  since: 2026-06-99",
     "x.yaml:3: where.since.is: 2026-06-99 is not a date; write 2026-03-29, or 2026-03-29T12:30 for a time"),
    ("where:\n  consent: email\n  since: {starts_with: a}",
     "x.yaml:3: where.since.starts_with: starts_with does not fit a value of type timestamp; these do: is, is_not, in, "
     "not_in, at_least, more_than, at_most, less_than, between, known, before, after, on, in_last, not_in_last, "
     "in_next, ago, anniversary"),
)
def test_fault(text, said):
    assert issues(text) == [said]
