"""The description says what the table of routes says."""

import re
from typing import Any

import jsonschema
import pytest

from tickerd.control.openapi import describe
from tickerd.control.routes import ROUTES

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return describe(ROUTES)


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_every_route_is_described_with_its_scope_and_rate_class(document: dict[str, Any]) -> None:
    found = {
        (method, re.sub(r"{(\w+)}", r"<\1>", path), one["x-scope"], one["x-rate-class"])
        for path, method, one in operations(document)
    }
    assert found == {(route.method.lower(), route.path, route.scope, route.rate) for route in ROUTES}


def test_every_operation_has_a_name_a_summary_and_described_answers(document: dict[str, Any]) -> None:
    names = [one["operationId"] for _, _, one in operations(document)]
    assert len(names) == len(set(names))
    for _, method, one in operations(document):
        assert method in METHODS
        assert one["summary"]
        assert all(answer["description"] for answer in one["responses"].values())
        assert {"200", "400", "401", "403", "429", "500"} <= one["responses"].keys()


def test_scopes_and_security_agree(document: dict[str, Any]) -> None:
    for _, _, one in operations(document):
        assert one["security"] == ([{"key": []}] if one["x-scope"] else [{}, {"key": []}])
        assert one["x-scope"] is None or one["x-scope"] in document["x-scopes"]
        assert one["x-rate-class"] in document["x-rate-classes"]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert references
    assert references <= document["components"]["schemas"].keys()


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_field_that_is_shown_is_described(document: dict[str, Any]) -> None:
    """But for those whose name says it all."""
    plain = {
        "name",
        "ticks",
        "batches",
        "gaps",
        "file",
        "count",
        "namespace",
        "version",
        "distribution",
        "source",
    }
    for name in ("Picture", "SourcePicture", "SinkPicture", "InstrumentShown", "ConfigShown"):
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            assert isinstance(schema, dict)
            assert "title" in schema or "$ref" in schema or field in plain


def test_parameters_are_described_and_never_null(document: dict[str, Any]) -> None:
    quotes = document["paths"]["/v1/quotes"]["get"]["parameters"]
    assert quotes == [
        {
            "name": "i",
            "in": "query",
            "required": True,
            "description": quotes[0]["description"],
            "schema": quotes[0]["schema"],
        }
    ]
    search = document["paths"]["/v1/instruments"]["get"]["parameters"]
    assert {one["name"] for one in search} >= {"q", "exchange", "expiry", "after", "limit"}
    assert all("null" not in str(one["schema"]) for one in search)
    assert document["paths"]["/v1/sources/{name}"]["get"]["parameters"][0]["in"] == "path"


def test_bodies_are_described(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/quotes"]["post"]["requestBody"]
    assert body["required"]
    reference = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert document["components"]["schemas"][reference]["additionalProperties"] is False


def test_an_operation_that_answers_503_with_its_verdict_says_so(document: dict[str, Any]) -> None:
    answers = document["paths"]["/readyz"]["get"]["responses"]
    assert answers["503"]["content"] == answers["200"]["content"]
    assert "application/problem+json" in answers["404"]["content"]
