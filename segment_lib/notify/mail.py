"""A message by SMTP: plain text with an HTML alternative, over an encrypted connection whose certificate is checked."""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime

from segment_lib.notify.attempt import NotSent, resolved
from segment_lib.notify.message import Message
from segment_lib.notify_settings import EmailSection, SmtpServer


def send(section: EmailSection, message: Message, message_id: str, at: datetime, timeout: float,
         environ: Mapping[str, str]) -> None:
    """One attempt; NotSent says why it failed. An address that the server refused counts as a failure."""
    password = resolved(section.password, environ) if section.password else None
    mail = composed(section, section.to, message.subject, message.text, message.html, message_id, at)
    with connected(section, password, timeout) as server:
        refused = server.send_message(mail, section.sender, section.to)
    if refused:
        raise NotSent(f"the server refused {len(refused)} of {len(section.to)} addresses; the others have the message")


@contextlib.contextmanager
def connected(section: SmtpServer, password: str | None, timeout: float) -> Iterator[smtplib.SMTP]:
    """A connection to send over, encrypted and logged in as the section says; what fails in it becomes NotSent."""
    with _told(timeout), _server(section, timeout) as server:
        if section.security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if section.user is not None and password is not None:
            server.login(section.user, password)
        yield server


def _server(section: SmtpServer, timeout: float) -> smtplib.SMTP:
    if section.security == "ssl":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(section.host, section.port, timeout=timeout, context=context)
    return smtplib.SMTP(section.host, section.port, timeout=timeout)


def composed(
    section: SmtpServer, to: Sequence[str], subject: str, text: str, html: str | None, message_id: str, at: datetime
) -> EmailMessage:
    """A message of plain text, with an alternative in HTML where there is one; a mail that comes again has its id."""
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, section.sender, ", ".join(to)
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{message_id}@{section.sender.rpartition('@')[2]}>"
    # No answering machine answers it, and no mailing list takes it for a person's.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    return mail


@contextlib.contextmanager
def _told(timeout: float) -> Iterator[None]:
    """Errors of the connection and the server as NotSent."""
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        codes = sorted({code for code, _ in error.recipients.values()})
        raise NotSent(f"the server refused every address ({codes[0]})", temporary=codes[-1] < 500) from None
    except smtplib.SMTPResponseException as error:
        what = "the login" if isinstance(error, smtplib.SMTPAuthenticationError) else "the message"
        busy = 400 <= error.smtp_code < 500
        raise NotSent(f"the server refused {what} ({error.smtp_code})", temporary=busy) from None
    except smtplib.SMTPNotSupportedError:
        raise NotSent("the server offers no such login or encryption; see security, user and password") from None
    except smtplib.SMTPException:
        reason = f"the server closed the connection, or did not answer within {timeout:g} s"
        raise NotSent(reason, temporary=True) from None
    except ssl.SSLError:
        raise NotSent("no encrypted connection: the certificate or the protocol was not accepted") from None
    except TimeoutError:
        raise NotSent(f"no answer within {timeout:g} s", temporary=True) from None
    except OSError:
        raise NotSent("the server cannot be reached", temporary=True) from None
    except UnicodeError:
        raise NotSent("the login has a character outside of ASCII") from None
