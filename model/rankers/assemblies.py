"""Every ranker by its name: what `--ranker`, checkpoints and reports call it."""

from features.errors import ConfigError
from features.spec import NUM_LEVELS
from model.config import BASE, GATESID, MBA_WIDTHS, SAVIORREC, SMILE
from model.rankers import gatesid_ablations, saviorrec, smile, smile_ablations
from model.rankers.base import Base
from model.rankers.controls import FrozenContent, SidConcatenated, SidOnly
from model.rankers.gatesid import GateSid

ASSEMBLIES = {
    BASE: Base,
    GATESID: GateSid,
    SAVIORREC: saviorrec.SaviorRec,
    SMILE: smile.Smile,
    "sid_only": SidOnly,
    "sid_concatenated": SidConcatenated,
    "static_average": gatesid_ablations.StaticAverage,
    "frozen_content": FrozenContent,
    "gatesid_gate_of_item": gatesid_ablations.GateOfItem,
    "gatesid_gate_of_stats": gatesid_ablations.GateOfStats,
    "gatesid_without_alignment": gatesid_ablations.WithoutAlignment,
    "gatesid_without_fused_attention": gatesid_ablations.WithoutFusedAttention,
    "saviorrec_without_mba": saviorrec.WithoutMba,
    "saviorrec_without_content": saviorrec.WithoutContent,
    "saviorrec_without_bidirectional": saviorrec.WithoutBidirectional,
    **dict.fromkeys(MBA_WIDTHS, saviorrec.SaviorRec),
    "smile_sid_only": smile_ablations.SidOnly,
    "smile_id_and_sid": smile_ablations.IdAndSid,
    "smile_without_opq": smile.SmileWithoutOpq,
    "smile_without_rq": smile_ablations.WithoutRq,
}


def refuse_missing_codes(ranker: str, columns: int, codebook: str | None) -> None:
    """Raises ConfigError: the ranker reads OPQ codes, and the codebook's SIDs have `columns` RQ codes alone."""
    needed = sum(spec.shape[-1] for spec in ASSEMBLIES[ranker].input_list if spec.name in ("item_codes", "item_opq_codes"))
    if needed > NUM_LEVELS and columns < needed:
        raise ConfigError(
            f"{ranker} needs {needed} codes an item, {NUM_LEVELS} of RQ and {needed - NUM_LEVELS} of OPQ; codebook {codebook} "
            f"has {columns}: give --codebook a version with OPQ codes, or train smile_without_opq, which needs none")
