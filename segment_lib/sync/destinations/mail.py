"""Mail by SMTP, one to each customer: the messages of triggers.

A message has a subject and a text, and may have an HTML part and a link to unsubscribe (RFC 2369, and RFC 8058 when it is
https). A mail that comes again after a crash has the same Message-ID, by which many mailboxes show it once.
"""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from segment_lib.notify.attempt import NotSent
from segment_lib.notify.mail import composed, connected
from segment_lib.sync.contract import Audience, Batch, Delivery, DeliveryError, Limits, Record, Refusal
from segment_lib.sync.destinations.opening import Setup
from segment_lib.sync.destinations.pieces import message_id
from segment_lib.sync.rates import Rate
from segment_lib.sync.retries import Temporary, tried

#: Bytes of all mails between two entries of the queue.
_BYTES = 50_000_000
#: Headers, and the frame of the parts.
_FRAME = 2_000


class Mail:
    """See `segment_lib.sync.contract.Destination`."""

    def __init__(self, setup: Setup):
        options = setup.options
        if (options.user is None) != ("password" not in setup.secrets):
            raise DeliveryError("email: the option user and the credential password go together")
        self.profile = setup.profile
        self.limits = Limits(options.records, _BYTES, options.per_second, options.per_minute)
        self._options = options
        self._password = setup.secrets.get("password")
        self._now, self._clock = setup.now, setup.clock
        self._rate = Rate(options.per_second, options.per_minute, setup.clock)

    def size_of(self, record: Record) -> int:
        # Base64 and quoted-printable may take three bytes for one.
        return 3 * sum(len(str(part).encode("utf-8", "replace")) for part in record.properties.values()) + _FRAME

    def open(self, audience: Audience) -> str:
        return audience.remote_id or audience.name

    def send(self, audience: Audience, batch: Batch) -> Delivery:
        """Mail by mail over one connection; when it breaks, the rest goes over another.

        A mailbox that is busy does not stop the others: its mail is named as unsent.
        """
        refused: list[Refusal] = []
        unsent: list[str] = []
        mails = [(record.customer_id, self._mail(batch, record)) for record in batch.records]
        refused += [Refusal(customer_id, "no_address") for customer_id, mail in mails if mail is None]
        left = [(customer_id, mail) for customer_id, mail in mails if mail is not None]
        begun = len(left)
        password = self._password.reveal() if self._password else None

        def attempt() -> None:
            try:
                with connected(self._options, password, self._options.timeout) as server:
                    while left:
                        self._rate.acquire()
                        status = _status(server, left[0][1])
                        customer_id, _ = left.pop(0)
                        if status >= 500:
                            refused.append(Refusal(customer_id, f"smtp_{status}"))
                        elif status:
                            unsent.append(customer_id)
            except NotSent as error:
                if error.temporary:
                    raise Temporary(error.reason) from None
                raise DeliveryError(f"email: {error.reason}") from None

        try:
            if left:
                tried("email", "sending mail", attempt, self._options.patience, self._clock)
        except DeliveryError:
            if len(left) == begun:
                raise
            # What went before the server was lost has been sent, and must not be sent again with the rest.
            unsent += [customer_id for customer_id, _ in left]
        return Delivery(len(batch.records) - len(refused) - len(unsent), tuple(refused), None, tuple(unsent))

    def close(self, audience: Audience) -> None:
        """Nothing: there is no session."""

    def _mail(self, batch: Batch, record: Record) -> EmailMessage | None:
        addresses = record.identifiers.get("email", ())
        if not addresses:
            return None
        said = {name: str(value) for name, value in record.properties.items()}
        # A name with a line break in it must not become a header.
        subject = " ".join(said["subject"].split())
        mail = composed(
            self._options, addresses[:1], subject, said["text"], said.get("html"), message_id(batch, record), self._now()
        )
        if self._options.reply_to:
            mail["Reply-To"] = self._options.reply_to
        link = "".join(said.get("unsubscribe", "").split())
        if link:
            mail["List-Unsubscribe"] = f"<{link}>"
            if link.startswith("https:"):
                mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return mail


def _status(server: smtplib.SMTP, mail: EmailMessage) -> int:
    """What the server says of one mail: 0 when it took it, else its code for this mail or its mailbox."""
    try:
        server.send_message(mail)
    except smtplib.SMTPRecipientsRefused as error:
        return max(code for code, _ in error.recipients.values())
    except smtplib.SMTPDataError as error:
        return error.smtp_code
    return 0
