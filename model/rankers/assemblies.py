"""Every ranker by its name: what `--ranker`, checkpoints and reports call it."""

from model.config import BASE, GATESID, SAVIORREC, SMILE
from model.rankers import gatesid_ablations, saviorrec, smile
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
    "smile_without_opq": smile.SmileWithoutOpq,
}
