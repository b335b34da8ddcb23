"""Certificates: loaded, and loaded again."""

from pathlib import Path

import pytest
import structlog.testing
import trio
import trustme

from tickerd.plugin import TlsSettings
from tickerd_plugins.websocket.certificates import LOOK_S, Certificate


def issue(folder: Path, *, cert: bool = True, key: bool = True) -> None:
    issued = trustme.CA().issue_cert("localhost")
    if key:
        issued.private_key_pem.write_to_path(folder / "key.pem")
    if cert:
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")


@pytest.fixture
def settings(tmp_path: Path) -> TlsSettings:
    issue(tmp_path)
    return TlsSettings(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")


def test_files_that_do_not_fit_are_told_by_name(settings: TlsSettings, tmp_path: Path) -> None:
    issue(tmp_path, key=False)
    with pytest.raises(OSError, match=r"cert\.pem and .*key\.pem are not a certificate and its key"):
        Certificate(settings)


def test_a_file_that_is_missing_is_told(settings: TlsSettings) -> None:
    settings.key.unlink()
    with pytest.raises(FileNotFoundError, match=r"key\.pem"):
        Certificate(settings)


def test_a_pair_that_does_not_fit_changes_nothing_and_is_told_once(
    settings: TlsSettings, tmp_path: Path
) -> None:
    certificate = Certificate(settings)
    context = certificate.context
    issue(tmp_path, key=False)
    with pytest.raises(OSError, match="not a certificate"):
        certificate.renew()
    assert not certificate.renew()
    issue(tmp_path)
    assert certificate.renew()
    assert certificate.context is context


async def test_the_files_are_looked_at_now_and_then(
    settings: TlsSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tickerd_plugins.websocket.certificates.LOOK_S", 0.02)
    certificate = Certificate(settings)
    with structlog.testing.capture_logs() as said:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(certificate.follow, structlog.get_logger())
            for expected in (
                "certificate loaded again",
                "certificate cannot be loaded, the old one stays in use",
            ):
                issue(tmp_path, key=expected.endswith("again"))
                with trio.fail_after(5):
                    while expected not in [one["event"] for one in said]:
                        await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert LOOK_S == 10
