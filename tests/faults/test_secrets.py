"""No secret in anything the daemon prints, whatever happens to it."""

import urllib.request

import pytest

TOKEN, SECRET, KEY = "s3cretAccessTokenXYZ", "s3cretApiSecretXYZ", "s3cretApiKeyXYZ"

YAML = """
sources:
  kite:
    use: kite
    api_key: ${{env:KITE_KEY}}
    api_secret: ${{env:KITE_SECRET}}
    access_token: ${{env:KITE_TOKEN}}
    ws_url: {ws}
    rest_url: {rest}
    subscribe: [{{instruments: ["NSE:INFY", 408065]}}]
  bad: {{use: bad, how: crash, after: 0}}
sinks:
  archive: {{use: file, path: "ticks/{{date}}/all.jsonl"}}
state: {{dir: state}}
log: {{level: debug, file: own.log}}
"""


@pytest.mark.full
def test_secrets_never_print_at_debug_level_not_even_in_a_crash(daemon, simulator):
    at = simulator("--access-token", TOKEN, "--api-key", KEY, "--api-secret", SECRET)
    process = daemon(
        YAML.format(**at),
        KITE_TOKEN=TOKEN,
        KITE_SECRET=SECRET,
        KITE_KEY=KEY,
        BOOM=f"?access_token={TOKEN} {SECRET}",
    )
    process.wait_for("unit failed and stays down until a reload", unit="source.bad")
    process.wait_for("instruments loaded", unit="source.kite")
    urllib.request.urlopen(f"{at['rest']}/simulator/faults", data=b'{"fault": "expire", "cut": true}').close()
    process.wait_for("unit reports", unit="source.kite", state="auth_required")
    process.signal()
    assert process.end() == 0
    own = (process.directory / "own.log").read_text()
    assert "ZeroDivisionError: boom" in own
    everything = process.log_file.read_text() + own
    kept = [file for file in process.directory.glob("state/**/*") if file.is_file()]
    everything += "".join(file.read_text(errors="replace") for file in kept)
    for secret in (TOKEN, SECRET, KEY):
        assert secret not in everything
