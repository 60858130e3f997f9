"""Settings: every fault at once, nothing unknown accepted, and one precedence for addresses."""

import json
from datetime import UTC, datetime

import pytest

from features.errors import ConfigError
from infra.settings import load_settings


def test_the_local_settings_are_whole():
    settings = load_settings({})
    assert settings.environment == "local"
    assert settings.home.name == "var"
    assert settings.addresses.kafka == f"127.0.0.1:{settings.ports.kafka}"


def test_every_fault_is_listed_at_once():
    with pytest.raises(ConfigError) as raised:
        load_settings({
            "GATESID_TRAINING__USER_DAY_SHARE": "1.5", "GATESID_STREAM__PUBLISH_INTERVAL_MS": "7000",
            "GATESID_KAFKA__PARTITIONS": "many", "GATESID_NOWHERE__KEY": "1", "GATESID_KAFKA": "no-port"})
    message = str(raised.value)
    for part in ("user_day_share", "publish_interval_ms", "expects int, got 'many'", "[nowhere] key", "'no-port'"):
        assert part in message


@pytest.mark.parametrize(("text", "said"), [
    ("[ports]\nkafka = 1\ntypo = 2\n", "[ports] typo is unknown"),
    ("[ports]\nkafka = 1\n", "[ports] valkey is missing"),
    ("[ports]\nkafka = \"one\"\n", "kafka expects int, got 'one'"),
    ("[plots]\ncolour = 1\n", "unknown section [plots]"),
    ("[ports\n", "is not TOML"),
])
def test_a_faulty_file_is_refused_with_the_key_at_fault(tmp_path, monkeypatch, text, said):
    import infra.settings as module

    (tmp_path / "local.toml").write_text(text)
    monkeypatch.setattr(module, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ConfigError) as raised:
        load_settings({})
    assert said in str(raised.value)


def test_an_unknown_environment_names_those_that_exist():
    with pytest.raises(ConfigError, match="expected one of: local, prod"):
        load_settings({"GATESID_ENV": "staging"})


def test_production_does_not_start_without_its_secrets():
    with pytest.raises(ConfigError) as raised:
        load_settings({"GATESID_ENV": "prod"})
    assert "GATESID_API_TOKEN" in str(raised.value)
    assert "GATESID_VALKEY_PASSWORD" in str(raised.value)


def test_an_address_comes_from_the_environment_else_from_the_running_stack_else_from_the_file(tmp_path):
    environ = {"GATESID_HOME": str(tmp_path), "GATESID_PORTS__VALKEY": "7001"}
    assert load_settings(environ).addresses.valkey == "127.0.0.1:7001"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "addresses.json").write_text(json.dumps({"valkey": "127.0.0.1:7002"}))
    assert load_settings(environ).addresses.valkey == "127.0.0.1:7002"
    assert load_settings(environ | {"GATESID_VALKEY": "elsewhere:7003"}).addresses.valkey == "elsewhere:7003"


def test_a_damaged_address_file_is_named(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "addresses.json").write_text("{")
    with pytest.raises(ConfigError, match="addresses.json is not JSON"):
        load_settings({"GATESID_HOME": str(tmp_path)})


def test_tokens_may_end_and_the_first_is_ours():
    tokens = load_settings({"GATESID_API_TOKEN": "new, old@2026-12-01T00:00:00+01:00,older@2026-11-01"}).api_tokens
    assert [token.secret for token in tokens] == ["new", "old", "older"]
    assert [token.expires for token in tokens] == [
        None, datetime(2026, 11, 30, 23, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["s3 cret", "new,", "new,s3cret@s3cret", "@2026-12-01", "s3cret;x"])
def test_a_token_that_no_header_carries_or_whose_end_is_no_time_is_refused_unshown(text):
    with pytest.raises(ConfigError, match="of GATESID_API_TOKEN") as raised:
        load_settings({"GATESID_API_TOKEN": text})
    assert "cret" not in str(raised.value)


def test_secrets_are_shown_neither_by_repr_nor_in_manifests():
    settings = load_settings({"GATESID_API_TOKEN": "s3cret-token", "GATESID_VALKEY_PASSWORD": "s3cret-word"})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in json.dumps(settings.public(), default=str)
