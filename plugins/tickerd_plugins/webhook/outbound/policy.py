"""Decides what may be posted to: the URL when it is written, the addresses each time a connection is made. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tickerd_plugins.webhook.outbound.address import Address, behind_nat64, forbidden, not_public
from tickerd_plugins.webhook.outbound.errors import BadUrl, Unreachable
from tickerd_plugins.webhook.outbound.names import is_local
from tickerd_plugins.webhook.outbound.options import AllowPrivate
from tickerd_plugins.webhook.outbound.ports import STANDARD, never
from tickerd_plugins.webhook.outbound.target import Target, parse


class Own(Protocol):
    """What belongs to this machine and this process."""

    def address(self, address: Address) -> bool:
        """Whether an interface of this machine has this address."""

    def port(self, port: int) -> bool:
        """Whether this process listens on this port."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be posted to. The default is: ``https``, port 443 or 8443, public addresses.

    Args:
        ports: further ports.
        allow: exceptions from the rule that endpoints are public.
    """

    ports: tuple[int, ...] = ()
    allow: tuple[AllowPrivate, ...] = ()

    def parse(self, url: str) -> Target:
        """The target that a URL names.

        Raises:
            BadUrl: it is not a URL that may be posted to. One that may can still lead to a forbidden address.
        """
        target = parse(url)
        if why := never(target.port) or self._refusal(target):
            raise BadUrl(why)
        if target.address and (why := self._closed(target, target.address)):
            raise BadUrl(why)
        return target

    def admit(self, target: Target, addresses: Iterable[Address], own: Own) -> None:
        """Refuse unless every single one of these addresses may be connected to.

        A name with a public and a private address is an attack, not bad luck.

        Raises:
            Unreachable: ``refused_by_policy``.
        """
        if why := never(target.port) or self._refusal(target):  # a stored target, under a policy made since
            raise Unreachable("refused_by_policy", why)
        for address in addresses:
            if why := self._closed(target, address) or self._ours(target, address, own):
                raise Unreachable("refused_by_policy", why)

    def _refusal(self, target: Target) -> str | None:
        """Why the URL itself needs an exception that there is none of."""
        why = self._unusual(target)
        return why if why and not self._rules(target) else None

    def _unusual(self, target: Target) -> str | None:
        if target.http:
            return "the URL's scheme is not https"
        if not self._usual_port(target):
            return f"port {target.port} is not among those allowed (443, 8443 and the option 'ports')"
        if target.address is None and is_local(target.host):
            return f"{target.host!r} is a name for this machine or network only"
        return None

    def _usual_port(self, target: Target) -> bool:
        return target.port in STANDARD or target.port in self.ports

    def _rules(self, target: Target) -> list[AllowPrivate]:
        """The exceptions for this target; when its URL needs one, only those that name it."""
        if self._unusual(target):
            usual = self._usual_port(target)
            return [
                rule
                for rule in self.allow
                if rule.names(target.host, target.port, usual=usual, http=target.http)
            ]
        return [rule for rule in self.allow if rule.covers(target.host, target.port)]

    def _closed(self, target: Target, address: Address) -> str | None:
        """Why this address may not be connected to for this target."""
        if why := forbidden(address):
            return why
        if self._opened(target, address):
            inner = behind_nat64(address)
            return not_public(inner) if inner and not self._opened(target, inner) else None
        if why := not_public(address):
            return why
        # the exception that made the URL acceptable is for one network only
        return f"{address} is not in the network of this URL's exception" if self._unusual(target) else None

    def _opened(self, target: Target, address: Address) -> bool:
        return any(address in rule.network for rule in self._rules(target))

    def _ours(self, target: Target, address: Address, own: Own) -> str | None:
        """Why this would be posting to ourselves."""
        mine = address.is_loopback or own.address(address)
        if mine and not self._opened(target, address):
            return f"{address} is an address of this machine"
        # anybody may serve on a standard port; a listener of ours on another one is ours through any address
        suspect = mine or not_public(address) is not None or target.port not in STANDARD
        if suspect and own.port(target.port):
            return f"port {target.port} is one that tickerd itself listens on"
        return None
