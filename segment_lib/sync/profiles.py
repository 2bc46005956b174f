"""Hash profiles: how a customer's columns become the identifiers that one platform understands.

Every platform normalises in its own way, and the same address has another hash at each, so a profile has a name with the
date of the rules that it follows; changed rules are a new profile. Values that cannot be an identifier, the empty one above
all, give none: nothing is ever hashed that is not an address or a number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from segment_lib.errors import UsageError, nearest

Rule = Callable[[str, str | None], str | None]

#: What stands around values that were copied from pages and sheets, beside the white space that Python knows.
_AROUND = "\u200b\u200c\u200d\u2060\ufeff\x00"
#: No quoted local parts: hardly any exist, and what looks like one is a broken line of a file.
_EMAIL = re.compile(r"[^\s@\"\\,;:<>()\[\]]+@[^\s@\"\\,;:<>()\[\].]+(\.[^\s@\"\\,;:<>()\[\].]+)+")
_DOTLESS = ("gmail.com", "googlemail.com")
#: As many as Google takes of one person, the fewest of all platforms.
MOST_VALUES = 10


def _trimmed(text: str) -> str:
    before = None
    while before != text:
        before, text = text, text.strip().strip(_AROUND)
    return text


def sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8, as lower-case hexadecimal digits.

    >>> sha256("janedoe@gmail.com")[:16]
    'd6117306485ed0e5'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def email(value: str, region: str | None = None) -> str | None:
    """An address without white space around it, in lower case; None when it is none.

    >>> email("  Jane.Doe+News@Gmail.com "), email("jane at home"), email(" ")
    ('jane.doe+news@gmail.com', None, None)
    """
    text = _trimmed(_trimmed(value).lower())
    return text if _EMAIL.fullmatch(text) else None


def email_google(value: str, region: str | None = None) -> str | None:
    """As `email`, and without the dots that Gmail does not read; what follows a plus stays.

    >>> email_google("Jane.Doe+News@Gmail.com"), email_google("jane.doe@example.com"), email_google("...@gmail.com")
    ('janedoe+news@gmail.com', 'jane.doe@example.com', None)
    """
    text = email(value)
    if text is None:
        return None
    local, _, domain = text.partition("@")
    local = local.replace(".", "") if domain in _DOTLESS else local
    return f"{local}@{domain}" if local else None


def email_tiktok(value: str, region: str | None = None) -> str | None:
    """An address in lower case without any white space, and without what follows a plus.

    >>> email_tiktok("Jane.Doe+News@Gmail.com"), email_tiktok("jane @example.com"), email_tiktok("+x@example.com")
    ('jane.doe@gmail.com', 'jane@example.com', None)
    """
    text = email("".join(value.split()))
    if text is None:
        return None
    local, _, domain = text.partition("@")
    local = local.partition("+")[0]
    return f"{local}@{domain}" if local else None


def email_spaceless(value: str, region: str | None = None) -> str | None:
    """An address in lower case without any white space.

    >>> email_spaceless("Jane.Doe+News @Gmail.com")
    'jane.doe+news@gmail.com'
    """
    return email("".join(value.split()))


def phone(value: str, region: str | None = None) -> str | None:
    """A telephone number in the form of E.164; None when no number of any country can be so long, or no country is known.

    `region` (two letters) is the country of numbers that do not name theirs.

    >>> phone("+1 (650) 555-0134"), phone("0650 5550 134"), phone("06 12345678", "NL"), phone("0000")
    ('+16505550134', None, '+31612345678', None)
    """
    import phonenumbers

    try:
        number = phonenumbers.parse(_trimmed(value), region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def phone_digits(value: str, region: str | None = None) -> str | None:
    """A telephone number with its country and without the plus: digits alone.

    >>> phone_digits("+1 (650) 555-0134")
    '16505550134'
    """
    number = phone(value, region)
    return number and number.removeprefix("+")


def name(value: str, region: str | None = None) -> str | None:
    """A person's name in lower case, letters of every script and their marks alone.

    >>> name(" Anne-Marie "), name("d'Été"), name("--")
    ('annemarie', 'dété', None)
    """
    import unicodedata

    text = unicodedata.normalize("NFC", value).lower()
    return "".join(letter for letter in text if unicodedata.category(letter)[0] in "LM") or None


def country(value: str, region: str | None = None) -> str | None:
    """A country as the two letters of ISO 3166, in lower case.

    >>> country(" DE"), country("Germany")
    ('de', None)
    """
    text = _trimmed(value).lower()
    return text if re.fullmatch("[a-z]{2}", text) else None


def lower(value: str, region: str | None = None) -> str | None:
    """A value without white space around it, in lower case.

    >>> lower(" AECE52E7-03EE-455A-B3C4-E57283966239 ")
    'aece52e7-03ee-455a-b3c4-e57283966239'
    """
    return _trimmed(_trimmed(value).lower()) or None


def as_it_is(value: str, region: str | None = None) -> str | None:
    """A value as it is; None when there is nothing but white space in it.

    >>> as_it_is("C-17"), as_it_is("  ")
    ('C-17', None)
    """
    return value if _trimmed(value) else None


RULES: Mapping[str, Rule] = {
    rule.__name__: rule
    for rule in (
        email, email_google, email_tiktok, email_spaceless, phone, phone_digits, name, country, lower, as_it_is
    )
}


@dataclass(frozen=True)
class Identifier:
    """One kind of identifier: the column it is read from, how it is normalised, and whether it is hashed then.

    One that does not tell a person apart (`alone` is false) travels only beside one that does.
    """

    kind: str
    column: str
    rule: str
    hashed: bool
    alone: bool = True

    def of(self, value: object, region: str | None) -> str | None:
        """The identifier of a value; None when it gives none."""
        normal = None if value is None else RULES[self.rule](str(value), region)
        return sha256(normal) if self.hashed and normal else normal or None


@dataclass(frozen=True)
class HashProfile:
    """The identifiers of one platform, under a name that says whose rules they follow and of when."""

    name: str
    identifiers: tuple[Identifier, ...]
    #: The country, as two letters, of telephone numbers that do not name theirs.
    region: str | None = field(default=None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `customers` that it reads; a tenant may lack some."""
        return tuple(dict.fromkeys(identifier.column for identifier in self.identifiers))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of identifiers that it makes, in their order."""
        return tuple(identifier.kind for identifier in self.identifiers)

    def of(self, row: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        """The identifiers of one customer by kind; empty when nothing tells the person apart.

        A column that holds a list gives several, at most MOST_VALUES, each once.

        >>> profile("plain").of({"customer_id": "c1", "email": "A@Example.com ", "phone": None})
        {'external_id': ('c1',), 'email': ('a@example.com',)}
        >>> profile("meta-2025-09").of({"email": "", "first_name": "Ann"})
        {}
        """
        found = {}
        for identifier in self.identifiers:
            made = (identifier.of(value, self.region) for value in _values(row.get(identifier.column)))
            values = tuple(dict.fromkeys(value for value in made if value))[:MOST_VALUES]
            if values:
                found[identifier.kind] = values
        alone = any(identifier.alone and identifier.kind in found for identifier in self.identifiers)
        return found if alone else {}


def _values(value: object) -> Iterable[object]:
    return value if isinstance(value, list | tuple) else (value,)


_META = (
    Identifier("email", "email", "email", hashed=True), Identifier("phone", "phone", "phone_digits", hashed=True),
    Identifier("device_id", "device_id", "lower", hashed=False),
    Identifier("first_name", "first_name", "name", hashed=True, alone=False),
    Identifier("last_name", "last_name", "name", hashed=True, alone=False),
    Identifier("country", "country", "country", hashed=True, alone=False),
)
_GOOGLE = (
    Identifier("email", "email", "email_google", hashed=True), Identifier("phone", "phone", "phone", hashed=True),
)
_TIKTOK = (
    Identifier("email", "email", "email_tiktok", hashed=True), Identifier("phone", "phone", "phone_digits", hashed=True),
)
_TIKTOK_E164 = (
    Identifier("email", "email", "email_spaceless", hashed=True), Identifier("phone", "phone", "phone", hashed=True),
)
_KLAVIYO = (
    Identifier("email", "email", "email", hashed=False), Identifier("phone", "phone", "phone", hashed=False),
)
_CUSTOMER = Identifier("external_id", "customer_id", "as_it_is", hashed=False)

_PROFILES: Mapping[str, tuple[Identifier, ...]] = {
    "meta-2025-09": _META,
    "google-2025-10": _GOOGLE,
    "tiktok-2025-08": _TIKTOK,
    "tiktok-e164": _TIKTOK_E164,
    "klaviyo-2026-07": _KLAVIYO,
    "klaviyo-2026-07-id": (_CUSTOMER, *_KLAVIYO),
    "plain": (_CUSTOMER, *_KLAVIYO),
}
NAMES = tuple(_PROFILES)


def profile(name: str, region: str | None = None) -> HashProfile:
    """The profile of a name; `region` is the country of telephone numbers that do not name theirs, in two letters.

    >>> profile("google-2025-10").of({"email": "Jane.Doe@gmail.com"})["email"][0][:16]
    'd6117306485ed0e5'
    """
    if name not in _PROFILES:
        raise UsageError(f"there is no hash profile {name!r}; {nearest(name, NAMES)}")
    if region is not None and not re.fullmatch("[A-Z]{2}", region):
        raise UsageError(f"region {region!r} is no country in two capital letters, such as DE")
    return HashProfile(name, _PROFILES[name], region)
