"""Secrets by reference: from an environment variable, or from AWS Secrets Manager.

``env:NAME`` is the environment variable NAME, ``aws-sm:NAME`` the secret NAME, ``aws-sm:NAME#KEY`` the field KEY of a
secret that is a JSON object. What was found says nothing of itself in logs, errors and debuggers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from segment_lib.sync.contract import DeliveryError

_REFERENCE = re.compile(r"(?P<store>env|aws-sm):(?P<name>[A-Za-z0-9_][A-Za-z0-9_/+=.@:-]*)(#(?P<key>[A-Za-z0-9_.-]+))?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Secret:
    """A value that is shown to who asks for it by `reveal`, and to nobody else."""

    __slots__ = ("_value",)

    def __init__(self, value: str):
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self):
        raise TypeError("a secret is not to be stored or sent")


def is_reference(text: object) -> bool:
    """Whether a text of conf names a secret.

    >>> is_reference("env:KLAVIYO_KEY"), is_reference("aws-sm:shop/klaviyo#key"), is_reference("pk_123")
    (True, True, False)
    """
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return bool(match) and (match["store"] != "env" or bool(_VARIABLE.fullmatch(match["name"]) and not match["key"]))


def resolve(reference: str, environ: Mapping[str, str]) -> Secret:
    """The secret that a reference names; DeliveryError when there is none, or AWS does not give it.

    >>> resolve("env:TOKEN", {"TOKEN": "x"})
    Secret(...)
    """
    match = _REFERENCE.fullmatch(reference)
    if not match or not is_reference(reference):
        raise DeliveryError("a secret is named, never written in conf: env:NAME, aws-sm:NAME or aws-sm:NAME#KEY")
    value = environ.get(match["name"]) if match["store"] == "env" else _from_aws(match["name"], match["key"])
    if not value:
        where = "environment variable" if match["store"] == "env" else "secret in AWS Secrets Manager"
        raise DeliveryError(f"the {where} {reference.partition(':')[2]} is not set or empty")
    return Secret(value)


def _from_aws(name: str, key: str | None) -> str | None:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        text = boto3.client("secretsmanager").get_secret_value(SecretId=name).get("SecretString")
    except ClientError as error:
        raise DeliveryError(
            f"AWS Secrets Manager does not give the secret {name}: {error.response['Error'].get('Code', 'unknown')}; "
            "look at its name, its region and this role's right secretsmanager:GetSecretValue"
        ) from None
    except BotoCoreError as error:
        raise DeliveryError(f"AWS Secrets Manager cannot be asked for {name} ({type(error).__name__})") from None
    if key is None or not text:
        return text
    try:
        fields = json.loads(text)
    except json.JSONDecodeError:
        raise DeliveryError(f"the secret {name} is no JSON object, so it has no field {key}") from None
    value = fields.get(key) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else None
