"""A server that speaks SFTP, for one user, below one folder."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko


class _Login(paramiko.ServerInterface):
    def __init__(self, server: SftpServer):
        self.server = server

    def check_auth_password(self, username: str, password: str) -> int:
        good = (username, password) == ("shop", self.server.password)
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "shop" and key == self.server.client_key
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"


class _Handle(paramiko.SFTPHandle):
    def stat(self):
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.writefile.fileno()))


class _Files(paramiko.SFTPServerInterface):
    def __init__(self, server: _Login, *args, **more):
        super().__init__(server, *args, **more)
        self.top = server.server.folder
        self.owner = server.server

    def real(self, path: str) -> Path:
        return self.top / path.lstrip("/")

    def done(self, work) -> int:
        try:
            work()
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return paramiko.SFTP_OK

    def stat(self, path: str):
        try:
            return paramiko.SFTPAttributes.from_stat(os.stat(self.real(path)))
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)

    lstat = stat

    def open(self, path: str, flags: int, attr):
        if self.owner.faults:  # the line breaks in the middle of a file
            self.owner.faults -= 1
            self.owner.links[-1].close()
            return paramiko.SFTP_FAILURE
        try:
            handle = _Handle(flags)
            handle.filename = str(self.real(path))
            handle.writefile = handle.readfile = open(self.real(path), "wb")  # noqa: SIM115
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        self.owner.written.append(path)
        return handle

    def mkdir(self, path: str, attr) -> int:
        return self.done(self.real(path).mkdir)

    def rename(self, oldpath: str, newpath: str) -> int:
        if self.real(newpath).exists():
            return paramiko.SFTP_FAILURE
        return self.done(lambda: self.real(oldpath).rename(self.real(newpath)))


class SftpServer:
    """Keeps what it was sent in `folder`; the next `faults` files break off."""

    password = "s3cret-of-sftp"

    def __init__(self, folder: Path):
        self.folder = folder
        self.key = paramiko.ECDSAKey.generate()
        self.client_key = paramiko.ECDSAKey.generate()
        self.faults = 0
        self.written: list[str] = []
        self.links: list[paramiko.Transport] = []
        self.port = 0

    @property
    def host_key(self) -> str:
        return f"{self.key.get_name()} {self.key.get_base64()}"


@contextmanager
def sftp_served(folder: Path) -> Iterator[SftpServer]:
    server = SftpServer(folder)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]

        def work() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(link)
                transport.add_server_key(server.key)
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
                server.links.append(transport)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=_Login(server))

        threading.Thread(target=work, daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for transport in server.links:
                transport.close()
