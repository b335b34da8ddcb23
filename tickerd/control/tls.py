"""Certificates of TCP listeners: loaded, and loaded again without a restart."""

import ssl
from pathlib import Path


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """A context for a listener. HTTP/1.1 only: the server speaks nothing else.

    Raises:
        OSError: a file cannot be read, or the two do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load(context, cert, key)
    return context


def renew(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Use these files for handshakes from now on; connections that are open keep the old ones.

    Raises:
        OSError: as above; the old certificate stays in use.
    """
    # A mismatched pair would leave the live context unable to finish any handshake.
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, key)
    _load(context, cert, key)


def _load(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except ssl.SSLError as error:
        raise OSError(f"{cert} and {key} are not a certificate and its key: {error.reason}") from None
    except OSError as error:
        raise OSError(error.errno, f"cannot read {cert} or {key}: {error.strerror}") from None


def _no_password() -> str:
    """Otherwise OpenSSL would ask on the terminal."""
    return ""
