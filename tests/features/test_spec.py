"""The list of model inputs is a contract: a change of it must be seen."""

from dataclasses import replace

import numpy as np

from features import spec


def test_names_are_unique_and_defaults_fit_their_dtype():
    assert len(spec.INPUTS_BY_NAME) == len(spec.RANKING_INPUTS)
    for column in spec.RANKING_INPUTS:
        assert np.asarray(column.default).astype(column.dtype) == column.default


def test_the_hash_moves_with_any_part_of_an_input(monkeypatch):
    before = spec.contract_hash()
    for change in ({"name": "other"}, {"dtype": "float32"}, {"shape": (2,)}, {"side": "item"}, {"default": 9}, {"version": 2}):
        changed = (replace(spec.RANKING_INPUTS[0], **change), *spec.RANKING_INPUTS[1:])
        monkeypatch.setattr(spec, "RANKING_INPUTS", changed)
        assert spec.contract_hash() != before
    monkeypatch.undo()
    assert spec.contract_hash() == before


def test_models_made_before_inputs_had_versions_keep_their_contract():
    assert spec.contract_hash() == "20d343b2ed2e", "a change of the contract: every model must be trained again; say so here"
