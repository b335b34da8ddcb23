"""What a YAML parser's complaint means to the person who wrote the file."""

from typing import Any

from ruamel.yaml.error import MarkedYAMLError

_QUOTE = "put the value in quotes, or check the indentation"

_PROBLEMS = (
    ("mapping values are not allowed here", "a ':' cannot stand here", _QUOTE),
    ("sequence entries are not allowed here", "a list item cannot stand here", "check the indentation"),
    ("expected <block end>", "this does not fit what stands before it", "check indentation and quotes"),
    ("that cannot start any token", "a value cannot begin with this character", "put the value in quotes"),
    (
        "found unknown escape character",
        "unknown escape in a double-quoted text",
        "use single quotes, or write \\\\",
    ),
    ("found undefined tag handle", "a tag cannot be used here", "to begin a text with '!', put it in quotes"),
    ("node content, but found '<stream end>'", "the file ends here, and a ']' or '}' is missing", ""),
    ("expected the node content", "a value is missing here", ""),
    ("expected '<document start>'", "this cannot follow what stands before it", "check the indentation"),
    ("found unexpected document separator", "a document separator cannot stand inside a text", ""),
)
_CONTEXTS = (
    ("while scanning a quoted scalar", "a quote is opened here and never closed", ""),
    ("while scanning a simple key", "a ':' is missing after this", ""),
    ("while parsing a flow sequence", "a '[' is opened here; a ',' or the closing ']' is missing", ""),
    ("while parsing a flow mapping", "a '{' is opened here; a ',' or the closing '}' is missing", ""),
    ("while scanning an alias", "an alias is '*' and a name", "to begin a text with '*', put it in quotes"),
    ("while scanning an anchor", "an anchor is '&' and a name", "to begin a text with '&', put it in quotes"),
)


def explain(error: MarkedYAMLError, text: str) -> tuple[Any, str, str]:
    """The mark to point at, what is wrong there, and a hint; nothing of the file's content is in them."""
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    at = mark.index
    if text[at : at + 1] == "\t":
        return mark, "a tab cannot be used for indentation", "use spaces"
    found = next((entry for entry in _PROBLEMS if entry[0] in problem), None)
    if found is not None:
        return mark, found[1], found[2]
    found = next((entry for entry in _CONTEXTS if entry[0] in context), None)
    if found is not None:
        return error.context_mark or mark, found[1], found[2]
    return mark, "not valid YAML from here on", ""
