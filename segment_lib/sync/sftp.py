"""Files to a server by SFTP, with paramiko: written under another name and renamed, so they are there whole or not at all."""

from __future__ import annotations

import base64
import binascii
import contextlib
import io
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from segment_lib.sync.contract import DeliveryError
from segment_lib.sync.retries import Temporary
from segment_lib.sync.secrets import Secret


@dataclass(frozen=True)
class Server:
    """Where files go, as whom, and the one key that proves that it is that server."""

    host: str
    port: int
    user: str
    host_key: str
    timeout: float
    password: Secret | None = None
    private_key: Secret | None = None

    def create(self, path: str, data: IO[bytes], size: int) -> None:
        """Writes a file unless there is one of that name; Temporary or DeliveryError when it cannot be."""
        with self._connected() as sftp:
            self._folders(sftp, posixpath.dirname(path))
            if _size(sftp, path) is not None:
                return
            part = f"{path}.part"
            sftp.putfo(data, part, file_size=size, confirm=True)
            sftp.rename(part, path)

    def _folders(self, sftp, folder: str) -> None:
        if folder in ("", "/") or _size(sftp, folder) is not None:
            return
        self._folders(sftp, posixpath.dirname(folder))
        try:
            sftp.mkdir(folder)
        except OSError:  # another sender made it just now, or it may not be made, which the writing then says
            pass

    @contextlib.contextmanager
    def _connected(self) -> Iterator:
        import paramiko

        client = paramiko.SSHClient()
        name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
        kind, _, text = self.host_key.partition(" ")
        try:
            entry = paramiko.PKey.from_type_string(kind, base64.b64decode(text, validate=True))
            key = _private(self.private_key.reveal()) if self.private_key else None
        except (paramiko.SSHException, ValueError, binascii.Error):
            raise DeliveryError("drop: host_key, or the secret private_key, is no key of SSH") from None
        client.get_host_keys().add(name, kind, entry)
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            client.connect(
                self.host, self.port, self.user, self.password.reveal() if self.password else None, pkey=key,
                timeout=self.timeout, banner_timeout=self.timeout, auth_timeout=self.timeout, channel_timeout=self.timeout,
                allow_agent=False, look_for_keys=False,
            )
            sftp = client.open_sftp()
            sftp.get_channel().settimeout(self.timeout)
            yield sftp
        except paramiko.BadHostKeyException:
            raise DeliveryError("drop: the server has another key than host_key says; nothing was sent") from None
        except paramiko.AuthenticationException:
            raise DeliveryError("drop: the server does not accept the user with this password or key") from None
        except PermissionError:
            raise DeliveryError("drop: the server does not let the user write there") from None
        except (paramiko.SSHException, OSError, EOFError) as error:  # their texts hold addresses
            raise Temporary(f"the server cannot be reached or broke off ({type(error).__name__})") from None
        finally:
            client.close()


def _private(text: str):
    """A private key of any kind from its text; SSHException when it is none, or is locked with a passphrase."""
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        with contextlib.suppress(paramiko.SSHException, ValueError):
            return kind.from_private_key(io.StringIO(text))
    raise paramiko.SSHException


def _size(sftp, path: str) -> int | None:
    try:
        return sftp.stat(path).st_size
    except FileNotFoundError:
        return None
