"""The way to the broker and to whatever else the configuration names: DNS, TCP, TLS, and their clock."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from tickerd.cli.checkup.finding import Finding, Patient, ok, problem, skipped, warning

MOST_SKEW_S = 5.0
_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_DAYS = 14


class Peer(NamedTuple):
    """Somebody whom the daemon connects to."""

    unit: str
    host: str
    port: int
    is_tls: bool
    ca_file: Path | None

    def __str__(self) -> str:
        return f"{self.unit}: {self.host}:{self.port}"


def network(patient: Patient) -> Iterator[Finding]:
    """Each address is asked once; the clock is compared with the first that tells the time."""
    found = sorted(set(peers(patient)), key=str)
    if patient.is_offline:
        yield skipped("network", f"{len(found)} addresses not tried: --offline")
        return
    is_clock_known = False
    for peer in found:
        skew_s = None
        try:
            text, skew_s = _reached(peer, patient.timeout_s)
        except socket.gaierror as error:
            text = f"{peer}: the name is not known to DNS ({error.strerror})"
            yield problem("network", text, "look at /etc/resolv.conf and the network: resolvectl query")
        except ssl.SSLCertVerificationError as error:
            text = f"{peer}: its certificate is not trusted ({error.verify_message})"
            yield problem(
                "network", text, "is a proxy in between, or the clock wrong? install ca-certificates"
            )
        except (OSError, ssl.SSLError) as error:
            reason = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            yield problem("network", f"{peer}: {reason}", "look at the firewall and the network")
        else:
            yield ok("network", f"{peer}: {text}")
        if skew_s is not None and not is_clock_known:
            is_clock_known = True
            yield _skew(peer, skew_s)


def peers(patient: Patient) -> Iterator[Peer]:
    """Every URL among the options of sources and sinks; the rest of a URL may be a secret."""
    for kind, section in (("source", patient.settings.sources), ("sink", patient.settings.sinks)):
        for name, unit in section.items():
            ca_file = getattr(unit.options, "ca_file", None)
            for text in texts(unit.options):
                peer = _peer(f"{kind}.{name}", text, ca_file if isinstance(ca_file, Path) else None)
                if peer is not None:
                    yield peer


def texts(value: Any) -> Iterator[str]:
    """Every text among some options, secrets too."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from texts(getattr(value, name))
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from texts(inner)


def _peer(unit: str, text: str, ca_file: Path | None) -> Peer | None:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host:
        return None
    return Peer(unit, host, port or _PORTS[parts.scheme], parts.scheme in ("https", "wss"), ca_file)


def _reached(peer: Peer, timeout_s: float) -> tuple[str, float | None]:
    """What to say of it, and how far our clock is ahead of its."""
    with closing(socket.create_connection((peer.host, peer.port), timeout_s)) as plain:
        if not peer.is_tls:
            return "answers, without TLS", None
        context = ssl.create_default_context()
        if peer.ca_file is not None:
            context.load_verify_locations(peer.ca_file)
        with context.wrap_socket(plain, server_hostname=peer.host) as secured:
            ends = secured.getpeercert() or {}
            text = f"answers with {secured.version()}{_ending(str(ends.get('notAfter', '')))}"
            return text, _ahead(secured, peer.host)


def _ending(text: str) -> str:
    """A certificate that ends soon."""
    if not text:
        return ""
    days = (ssl.cert_time_to_seconds(text) - datetime.now(UTC).timestamp()) / 86_400
    return f", its certificate ends in {days:.0f} days" if days < _DAYS else ""


def _ahead(secured: ssl.SSLSocket, host: str) -> float | None:
    """By its ``Date`` header, which has whole seconds; the request asks for nothing and carries no credential."""
    connection = http.client.HTTPConnection(host)
    connection.sock = secured
    try:
        connection.request("HEAD", "/", headers={"Connection": "close"})
        told = connection.getresponse().headers.get("Date")
        now = datetime.now(UTC)
        return None if told is None else (now - parsedate_to_datetime(told)).total_seconds() - 0.5
    except (OSError, http.client.HTTPException, ValueError, TypeError):
        return None  # no web server, which is nothing against it


def _skew(peer: Peer, skew_s: float) -> Finding:
    if abs(skew_s) <= MOST_SKEW_S:
        return ok("clock", f"within {abs(skew_s) + 0.5:.0f} s of {peer.host}")
    side = "ahead of" if skew_s > 0 else "behind"
    text = f"this machine's clock is {abs(skew_s):.0f} s {side} {peer.host}'s"
    return warning(
        "clock", text, "docs/runbooks/clock-wrong.md; run an NTP service: timedatectl set-ntp true"
    )
