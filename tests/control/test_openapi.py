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
        assert {"400", "401", "403", "429", "500"} <= one["responses"].keys()
        assert {"200", "201", "202"} & one["responses"].keys()


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


PLAIN = """
    accepted added after age_s applied applied_ns attempts batches before bytes changed code column
    config count created_by dead_letters delivery detail distribution dropped exchange expires_ns file
    gaps id instrument instrument_type items journal kept label last_s last_write_ns letters limit_s loop
    lot_size market max_s name namespace newest ok overflow p99_s picture queued_bytes reasons registry
    rejected reload_verdict removed reported_detail restarts retries revoked_ns scopes seconds segment
    segments sink sinks source sources state status strike symbol tick_size ticket ticks took_s totals
    tradingsymbol unresolved_count uptime_s version warnings webhook written_batches written_bytes
"""
"""Fields whose names say it all."""


def test_every_field_that_is_shown_is_described(document: dict[str, Any]) -> None:
    of_others = {"Row", "OHLC", "Depth", "Level", "Problem"}
    for name, schema in document["components"]["schemas"].items():
        if name not in of_others and "additionalProperties" not in schema:
            for field, what in schema.get("properties", {}).items():
                assert "description" in what or field in PLAIN.split(), (name, field)


def test_fields_of_a_base_are_described_as_they_are_there(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in ("SinkPicture", "SourcePicture"):
        assert schemas[name]["properties"]["since_ns"]["description"].startswith("When it came into it")
    assert schemas["KeyMade"]["properties"]["id"] == schemas["KeyShown"]["properties"]["id"]


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


def test_a_body_that_is_no_json_is_described_by_its_types(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/config/validate"]["post"]["requestBody"]["content"]
    assert content["application/yaml"] == {"schema": {}}


def test_every_change_takes_an_idempotency_key_and_nothing_else_does() -> None:
    document = describe(ROUTES)
    for route in ROUTES:
        path = re.sub(r"<(\w+)>", r"{\1}", route.path)
        operation = document["paths"][path][route.method.lower()]
        headers = [one["name"] for one in operation["parameters"] if one["in"] == "header"]
        assert headers == (["Idempotency-Key"] if route.changes else [])
        assert ("409" in operation["responses"]) >= route.changes


def test_an_operation_that_answers_503_with_its_verdict_says_so(document: dict[str, Any]) -> None:
    answers = document["paths"]["/readyz"]["get"]["responses"]
    assert answers["503"]["content"] == answers["200"]["content"]
    assert "application/problem+json" in answers["404"]["content"]
