"""The query with which Kite's clients say who they are. Nothing in it may ever be logged."""

from urllib.parse import unquote

_LONGEST = 4096
_OURS = "tkd_"


def credential(query: str) -> str | None:
    """The one text in it that shall prove who somebody is; None when there is none.

    It is the ``access_token``; the ``api_key`` where that is left out, or where only that looks like one of
    tickerd's keys. The clients in Python and JavaScript escape nothing, so a plus sign is a plus sign. What else
    there is (``uid``, ``v``) does not matter.
    """
    if len(query) > _LONGEST:
        return None
    given = {name: unquote(value) for name, _, value in (one.partition("=") for one in query.split("&"))}
    token, key = given.get("access_token"), given.get("api_key")
    if key and key.startswith(_OURS) and not (token and token.startswith(_OURS)):
        return key
    return token or key or None
