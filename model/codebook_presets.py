"""The codebooks that can be trained by name: `python -m model.train_rqvae --preset NAME`."""

from model.opq_training import RqOpqConfig
from model.rqvae_config import RqVaeConfig

GATESID, SAVIORREC, SMILE = "gatesid", "saviorrec", "smile"
PRESETS: dict[str, RqVaeConfig | RqOpqConfig] = {
    GATESID: RqVaeConfig(),
    SAVIORREC: RqVaeConfig(levels=8, codes=2048),  # SaviorRec section 4: 8 levels of 2048
    SMILE: RqOpqConfig(),
}


def quantiser_name(config: RqVaeConfig | RqOpqConfig) -> str:
    return "rq_opq" if isinstance(config, RqOpqConfig) else "rqvae"
