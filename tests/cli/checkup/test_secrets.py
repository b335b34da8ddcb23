"""Files with secrets in them."""

import os

from tickerd.cli.checkup.secrets import secrets

KITE = """
sources:
  kite: {use: kite, api_key: abcdefgh, api_secret: "${file:DIR/secret}", access_token_file: DIR/token}
state: {dir: 'DIR/state'}
"""


def write(path, mode):
    path.parent.mkdir(exist_ok=True)
    path.write_text("a secret of some length")
    path.chmod(mode)


def test_nothing_to_say_where_only_owner_and_group_can_read(patient, said, tmp_path):
    write(tmp_path / "secret", 0o640)
    write(tmp_path / "token", 0o600)
    write(tmp_path / "state" / "pepper", 0o600)
    (fine,) = secrets(patient(text=KITE))
    assert fine.text == "4 files with secrets, none open to everybody"


def test_each_that_everybody_can_read_is_told_with_what_to_do(patient, said, tmp_path):
    write(tmp_path / "secret", 0o644)
    write(tmp_path / "token", 0o604)
    write(tmp_path / "state" / "bootstrap.key", 0o644)
    one = patient(text=KITE)
    one.file.chmod(0o644)
    found = [finding for finding in secrets(one) if finding.level == "problem"]
    assert {finding.do for finding in found} == {
        f"chmod o= {tmp_path / name}" for name in ("secret", "token", "state/bootstrap.key", "tickerd.yaml")
    }


def test_a_private_key_counts_and_a_configuration_without_secrets_does_not(patient, said, tmp_path):
    for name in ("cert", "key"):
        write(tmp_path / name, 0o644)
    tls = (
        'control: {listen: [{address: "0.0.0.0:7801", tls: {cert: DIR/cert, key: DIR/key}}], auth: [keys]}\n'
    )
    one = patient(tls + "auth: {keys: {use: api_key}}\n")
    one.file.chmod(0o644)
    assert said(secrets(one)) == [
        ("problem", f"{tmp_path}/key: everybody on this machine can reach it (mode 0644)")
    ]


def test_a_group_that_can_write_is_a_warning(patient, said, tmp_path):
    write(tmp_path / "secret", 0o660)
    assert said(secrets(patient(text=KITE))) == [
        ("warning", f"{tmp_path}/secret: its group can write it (mode 0660)")
    ]


def test_what_may_not_be_looked_at_is_skipped(patient, said, tmp_path, monkeypatch):
    write(tmp_path / "secret", 0o600)
    one = patient(text=KITE)
    stat = os.stat

    def refused(path, *args, **kwargs):
        if str(path).endswith("/token"):
            raise PermissionError(13, "no")
        return stat(path, *args, **kwargs)

    monkeypatch.setattr("pathlib.Path.stat", refused)
    assert ("skipped", f"{tmp_path}/token: this user may not look at it") in said(secrets(one))
