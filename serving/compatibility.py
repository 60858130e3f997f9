"""Whether a model may serve here: same input contract, and the codebook that is live (DESIGN: semantic IDs).

A model that reads no SIDs (its manifest's codebook_version is null) goes with every codebook.
"""

from typing import Any

from features.errors import CodebookMismatch
from features.spec import contract_hash


def check_compatible(manifest: dict[str, Any], live: str | None) -> None:
    """Raises CodebookMismatch: the model was trained on another input contract or another codebook than the live one.

    `live` is None before the first codebook is; then every model goes.
    """
    model = f"model {manifest.get('ranker')}/{manifest.get('version')}"
    if manifest.get("contract_hash") != contract_hash():
        raise CodebookMismatch(
            f"{model} has the input contract {manifest.get('contract_hash')}, this code has {contract_hash()}: "
            "train and export it again with this code")
    needed = manifest.get("codebook_version")
    if needed is not None and live is not None and needed != live:
        raise CodebookMismatch(
            f"{model} was trained on codebook {needed}, live is {live}: train on {live}, or make {needed} live again "
            "(python -m serving.switch)")
