"""Certificates are loaded again without a restart, and a wrong pair does no harm."""

import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from tickerd.control.tls import renew, server_context


def write(authority: trustme.CA, folder: Path, name: str) -> tuple[Path, Path]:
    cert = authority.issue_cert("localhost")
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
    key.write_bytes(cert.private_key_pem.bytes())
    return chain, key


async def serial(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """Of the certificate that a handshake shows."""
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.SSLStream(far, server, server_side=True).do_handshake)
        stream = trio.SSLStream(near, client, server_hostname="localhost")
        await stream.do_handshake()
    shown = stream.getpeercert()
    assert stream.selected_alpn_protocol() in (None, "http/1.1")
    return str(shown["serialNumber"])


async def test_a_new_certificate_is_used_at_once(tmp_path: Path) -> None:
    authority, client = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(client)
    old, new = write(authority, tmp_path, "old"), write(authority, tmp_path, "new")
    context = server_context(*old)
    first = await serial(context, client)
    renew(context, *new)
    second = await serial(context, client)
    assert first != second
    with pytest.raises(OSError, match="are not a certificate and its key"):
        renew(context, old[0], new[1])
    assert await serial(context, client) == second


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot read"):
        server_context(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError, match="are not a certificate"):
        server_context(tmp_path / "a", tmp_path / "a")
