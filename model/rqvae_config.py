"""Sizes and training of the RQ-VAE."""

from dataclasses import dataclass

from features.errors import ConfigError
from features.spec import CODEBOOK_SIZE, NUM_LEVELS


@dataclass(frozen=True)
class RqVaeConfig:
    """Raises ConfigError: every fault, listed."""

    levels: int = NUM_LEVELS  # GateSID: 4; SaviorRec: 8
    codes: int = CODEBOOK_SIZE  # a level; GateSID: 256; SaviorRec: 2048
    width: int = 64  # of a code vector; both papers: 64. Enc and Dec have one hidden layer of twice this
    batch_pairs: int = 512  # a batch is twice as many rows; SaviorRec: 16384 rows
    epochs: int = 4  # passes over the contents; GateSID: 10, SaviorRec: 150. K-means starts and ends it, more changed nothing
    polish_epochs: int = 2  # of Dec alone, at the end
    learning_rate: float = 0.002  # SaviorRec: 0.002
    recon_loss_weight: float = 1000.0  # SaviorRec: 1000
    commit_loss_weight: float = 0.5  # SaviorRec: 0.5
    temperature: float = 0.1  # of the contrast
    sinkhorn_epsilon: float = 0.05
    sinkhorn_iterations: int = 10  # a level and step
    kmeans_iterations: int = 10
    seed: int = 1

    def __post_init__(self) -> None:
        positive = ("levels", "codes", "width", "batch_pairs", "epochs", "polish_epochs", "kmeans_iterations", "learning_rate",
                    "recon_loss_weight", "temperature", "sinkhorn_epsilon")
        faults = [f"{name} must be positive, got {getattr(self, name)}" for name in positive if getattr(self, name) <= 0]
        at_least_0 = ("commit_loss_weight", "sinkhorn_iterations", "seed")
        faults += [f"{name} must not be negative, got {getattr(self, name)}" for name in at_least_0 if getattr(self, name) < 0]
        if faults:
            raise ConfigError("; ".join(faults))
