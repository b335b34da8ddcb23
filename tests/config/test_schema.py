"""Tests of `tickerd.config.schema`: it judges as the compiler does, and the committed one is up to date."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from tickerd.config import compile_settings, load, parse_document
from tickerd.config.schema import schema
from tickerd.runtime.registry import Registry

ROOT = Path(__file__).parents[2]


@pytest.fixture
def errors(types):
    validator = jsonschema.Draft202012Validator(schema(types))
    jsonschema.Draft202012Validator.check_schema(validator.schema)
    return lambda text: [error.message for error in validator.iter_errors(YAML(typ="safe").load(text))]


BASE = "sources: {feed: {use: kite, api_key: k}}\nsinks: {out: {use: file, path: p}}\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE,
        "sources: {feed: {use: kite, api_key: k}}\nsinks:\nlog:\nlimits: {drain: 1m}\nextensions: [audit]\n",
        BASE.replace("api_key: k", "api_key: '${env:A}', port: '${env:A}', pause: '${file:/x}', size: 0"),
        BASE.replace(
            "api_key: k",
            "api_key: k, required: '${env:A}', subscribe: [{instruments: ['NSE:A', 5], mode: ltp}]",
        ),
        BASE.replace(
            "path: p", "path: p, batch: {max_wait: 5 s}, delivery: live, events: [tick], keep: 7 days"
        ),
        BASE + "control:\nhooks:\nauth:\nrate_limits:\n",
        BASE + "control: off\nhooks: off\nauth: {}\nrate_limits: {orders: , reads: {burst: 3}}\n",
        BASE
        + "auth: {mine: {use: keys, salt: '${env:A}'}}\nrate_limits: {orders: {use: shared, rate: 1/hour}}\n",
        BASE
        + "auth: {a: {use: keys}}\ncontrol: {listen: '127.0.0.1:1', auth: [a], trusted_proxies: [::1]}\n",
        BASE
        + "control: {listen: [unix:run/a, {address: unix:/a, scopes: [status:read, 'ticks:read:NSE']}]}\n",
        BASE
        + "hooks: {listen: '0.0.0.0:443', tls: {cert: '${env:A}', key: k.pem}, hosts: ['*.example.com']}\n",
        BASE.replace("use: file, path: p", "use: served, listen: ['127.0.0.1:1', unix:/b], auth: [a]")
        + "auth: {a: {use: keys}}\n",
    ],
)
def test_what_compiles_is_valid(text, errors):
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "log: {}\n",
        "sources: {}\n",
        BASE + "lgo: {}\n",
        BASE + "log: {level: loud}\n",
        BASE + "limits: {drain: 5 banana}\n",
        BASE.replace("use: kite", "use: kit"),
        BASE.replace("feed:", "-feed:"),
        BASE.replace("api_key: k", "port: 3"),
        BASE.replace("api_key: k", "api_key: k, prt: 3"),
        BASE.replace("api_key: k", "api_key: k, port: 0"),
        BASE.replace("api_key: k", "api_key: k, path: p"),
        BASE.replace("path: p", "path: p, events: [tik]"),
        BASE.replace("path: p", "path: p, instruments: [infy]"),
        BASE.replace("path: p", "path: p, batch: {max_tick: 5}"),
        BASE + "control: on\n",
        BASE + "control: {listen: []}\n",
        BASE + "control: {listen: ['127.0.0.1']}\n",
        BASE + "control: {listen: [{adress: unix:/a}]}\n",
        BASE + "control: {origins: [null]}\n",
        BASE + "hooks: {}\n",
        BASE + "hooks: {listen: [unix:/a]}\n",
        BASE + "auth: {a: {use: keyz}}\n",
        BASE + "auth: {a: }\n",
        BASE + "auth: {-a: {use: keys}}\n",
        BASE + "rate_limits: {order: {rate: 1/hour}}\n",
        BASE + "rate_limits: {orders: {rate: fast}}\n",
        BASE + "rate_limits: {orders: {burts: 1}}\n",
        BASE.replace("use: file, path: p", "use: served, listen: here"),
    ],
)
def test_what_does_not_compile_is_not(text, errors):
    assert errors(text) != []


def test_descriptions_defaults_and_reload_classes_are_in_it(types):
    made: dict[str, Any] = schema(types)
    kite = made["$defs"]["source.kite"]["properties"]
    assert kite["port"]["description"] == "A number."
    assert kite["port"]["default"] == 1
    assert kite["subscribe"]["reload"] == "live"
    assert kite["api_key"]["type"] == "string"
    assert "title" not in json.dumps(made["$defs"])
    assert made["$defs"]["source"]["properties"]["use"]["enum"] == ["kite"]


def test_without_any_plugin_it_is_still_a_schema(types, monkeypatch):
    monkeypatch.setattr(types, "names", lambda kind: [])
    jsonschema.Draft202012Validator.check_schema(schema(types))


def test_the_committed_schema_is_that_of_the_bundled_plugins():
    committed = json.loads((ROOT / "config/tickerd.schema.json").read_text())
    assert committed == schema(Registry.installed()), "run `make schema`"


WHSEC = "whsec_" + "A" * 44
ENV = {"KITE_API_KEY": "key", "KITE_API_SECRET": "secret", "BUILDS_SECRET": "secret"}
ENV |= {"HOOK_SECRET": WHSEC, "OLD_HOOK_SECRET": WHSEC}
EXAMPLE = (ROOT / "tickerd.yaml.example").read_text()


def test_the_example_compiles_and_is_valid():
    made = load(ROOT / "tickerd.yaml.example", Registry.installed(), ENV)
    assert made.warnings == ()
    validator = jsonschema.Draft202012Validator(schema(Registry.installed()))
    assert [error.message for error in validator.iter_errors(YAML(typ="safe").load(EXAMPLE))] == []


def test_the_example_compiles_with_its_commented_sources_too():
    text = re.sub(r"(?m)^  # (?=( {2})?[a-z_]+:)", "  ", EXAMPLE)
    made = compile_settings(parse_document(text.encode()), Registry.installed(), ENV)
    assert list(made.settings.sources) == ["zerodha", "demo", "builds", "yesterday"]


def test_every_section_and_option_is_in_the_example():
    made = schema(Registry.installed())
    names = set(made["properties"])
    for name, definition in made["$defs"].items():
        names |= definition.get("properties", {}).keys() if name != "reference" else set()
    assert sorted(name for name in names if not re.search(rf"\b{name}:", EXAMPLE)) == []
