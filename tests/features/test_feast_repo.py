"""The definitions, as Feast's own command sees them, and their deployment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import ConfigError
from features.feast_config import FeatureStoreConfig, deploy_definitions, feast_environment, open_store

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.feast


def test_deploying_registers_every_view_and_service_once(tmp_path):
    config = FeatureStoreConfig(tmp_path, "127.0.0.1:1")
    assert deploy_definitions(config)
    store = open_store(config, config.registry)
    views = {view.name: {field.name for field in view.features} for view in store.list_feature_views()}
    assert views == {
        "item_maturity": {"exposure_7d", "click_7d"}, "item_semantic_id": {"codes", "codebook_version"},
        "item_semantic_id_b": {"codes_b", "codebook_version_b"},
        "item_profile": {"published_at_ms", "title"}, "user_history": {"item_ids", "event_times_ms"}}
    assert {service.name for service in store.list_feature_services()} == {"ranking_v1", "ranking_v1_items", "ranking_v1_user"}
    assert {entity.name for entity in store.list_entities()} >= {"item", "user"}


def test_deploying_again_changes_nothing_and_altered_definitions_do(tmp_path):
    config = FeatureStoreConfig(tmp_path, "127.0.0.1:1")
    deploy_definitions(config)
    before = config.registry.read_bytes()
    assert not deploy_definitions(config)
    assert config.registry.read_bytes() == before
    config.registry.with_name("definitions.sha256").write_text("of older definitions")
    assert deploy_definitions(config)


def test_feasts_own_command_reads_the_folder(tmp_path):
    """`feast apply` imports every file of the folder: only definitions may lie there."""
    environment = os.environ | feast_environment(FeatureStoreConfig(tmp_path, "127.0.0.1:1")) | {"PYTHONPATH": str(ROOT)}
    (tmp_path / "feast").mkdir()
    command = [str(Path(sys.executable).with_name("feast")), "-c", "features/repo", "apply"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "item_semantic_id" in done.stdout
    assert (tmp_path / "feast" / "registry.db").stat().st_size > 0


def test_a_configuration_that_cannot_work_lists_every_fault():
    with pytest.raises(ConfigError, match="offline_store must be one of .*; .*comma or a quote"):
        FeatureStoreConfig(Path("home"), "127.0.0.1:1", "a,b", "dask")
