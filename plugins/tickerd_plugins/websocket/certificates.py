"""Certificates of listeners, loaded again when their files change; connections that are open keep the old one."""

import ssl
from pathlib import Path

import trio
from structlog.typing import FilteringBoundLogger

from tickerd.plugin import TlsSettings

LOOK_S = 10.0
_Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The context of one listener.

    Raises:
        OSError: a file cannot be read, or the two do not belong together.
    """

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._stamp = self._look()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        self.context.set_alpn_protocols(["http/1.1"])
        _load(self.context, settings.cert, settings.key)

    async def follow(self, log: FilteringBoundLogger) -> None:
        """Use what is in the files, from each handshake on that begins after they changed. Never returns."""
        while True:
            await trio.sleep(LOOK_S)
            try:
                if await trio.to_thread.run_sync(self.renew):
                    log.info("certificate loaded again", cert=str(self._settings.cert))
            except OSError as error:
                log.error(  # noqa: TRY400 - the text says it all
                    "certificate cannot be loaded, the old one stays in use", reason=str(error)
                )

    def renew(self) -> bool:
        """Look at the files and load them if they are others; whether they were.

        Raises:
            OSError: as above; the old certificate stays in use.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return False
        self._stamp = stamp  # a pair that is wrong is told once
        # in a context of its own first: with a key that does not fit no handshake could be finished any more
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self._settings.cert, self._settings.key)
        _load(self.context, self._settings.cert, self._settings.key)
        return True

    def _look(self) -> _Stamp:
        found = [path.stat() for path in (self._settings.cert, self._settings.key)]
        return tuple((one.st_mtime_ns, one.st_size, one.st_ino) for one in found)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise OSError(f"{cert} and {key} are not a certificate and its key: {error.reason}") from None


def _no_password() -> str:
    """Otherwise OpenSSL would ask on the terminal."""
    return ""
