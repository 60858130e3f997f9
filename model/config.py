"""What a ranker is made of and how it is trained; presets per paper.

`paper` keeps the printed sizes and weights. `practical` was chosen on the first 50 of Complete Journey's 90 days (30 % of the
user-days, one pass): model/README.md has the figures.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

from features.errors import ConfigError
from features.names import CLICKED, ORDERED
from features.spec import CODEBOOK_SIZE, NUM_LEVELS

BASE, GATESID, SAVIORREC, SMILE = "base", "gatesid", "saviorrec", "smile"
MBA_WIDTHS = {f"saviorrec_mba_{width}": width for width in (8, 16, 32, 64)}  # SaviorRec's ablation of a setting
RANKERS = (BASE, GATESID)  # trained every night, and compared where nothing else is asked
ALL_RANKERS = (
    *RANKERS, SAVIORREC, SMILE, "sid_only", "sid_concatenated", "static_average", "frozen_content",
    "gatesid_gate_of_item", "gatesid_gate_of_stats", "gatesid_without_alignment", "gatesid_without_fused_attention",
    "saviorrec_without_mba", "saviorrec_without_content", "saviorrec_without_bidirectional", *MBA_WIDTHS,
    "smile_sid_only", "smile_id_and_sid", "smile_without_opq", "smile_without_rq")
PAPER, PRACTICAL = "paper", "practical"
PRESETS = (PAPER, PRACTICAL)


def refuse(faults: list[str]) -> None:
    """Raises ConfigError with every fault at once."""
    if faults:
        raise ConfigError("; ".join(faults))


@dataclass(frozen=True)
class RankerConfig:
    """The network. Widths in columns."""

    ranker: str
    item_width: int = 32  # item-id embedding; equal to sid_width where embeddings are aligned (R8)
    user_width: int = 16
    sid_width: int = 32  # paper: 32, all levels together
    levels: int = NUM_LEVELS  # paper: 4
    codes: int = CODEBOOK_SIZE  # a level; paper: 256
    hidden: tuple[int, ...] = (128, 64, 32)  # paper: 3 layers of ReLU, widths not printed
    gate_hidden: tuple[int, ...] = (16,)
    sid_spread: float = 0.05  # standard deviation of fresh SID vectors; larger ones are noise to the MLP
    # Attention projections start as this times the identity; None: Glorot. For SIDs, 18 makes the logit of two equal SIDs
    # start at 18^2 x 32 x 0.05^2 / sqrt(32) = 4.6.
    sid_gain: float | None = 18.0
    item_gain: float | None = 3.0
    align_loss_weight: float = 0.1  # [0, 1]; paper: 0.1
    align_rows: int = 512  # rows of a batch that are contrasted with each other; paper: the batch
    temperature: float = 0.1  # (0, 1]; not printed

    def __post_init__(self) -> None:
        positive = ("item_width", "user_width", "sid_width", "levels", "codes", "align_rows")
        faults = [f"{name} must be positive, got {getattr(self, name)}" for name in positive if getattr(self, name) < 1]
        if self.ranker not in ALL_RANKERS:
            faults.append(f"ranker must be one of {', '.join(ALL_RANKERS)}, got {self.ranker!r}")
        if not self.hidden or min(self.hidden + self.gate_hidden) < 1:
            faults.append(f"hidden and gate_hidden must hold positive widths, got {self.hidden} and {self.gate_hidden}")
        if self.levels > 0 and self.sid_width % self.levels:
            faults.append(f"sid_width must be a multiple of the {self.levels} levels, got {self.sid_width}")
        if not 0 <= self.align_loss_weight <= 1:
            faults.append(f"align_loss_weight must be in [0, 1], got {self.align_loss_weight}")
        if not 0 < self.temperature <= 1:
            faults.append(f"temperature must be in (0, 1], got {self.temperature}")
        if self.ranker == GATESID and self.align_loss_weight and self.item_width != self.sid_width:
            faults.append(f"alignment needs item_width = sid_width, got {self.item_width} and {self.sid_width}")
        refuse(faults + self.own_faults())

    def own_faults(self) -> list[str]:
        """What a ranker's own settings can have wrong."""
        return []

    @staticmethod
    def from_json(values: dict[str, Any]) -> "RankerConfig":
        """What a manifest holds. Raises ConfigError: a key this code does not know."""
        kind = config_kind(values.get("ranker", ""))
        unknown = sorted(set(values) - set(kind.__dataclass_fields__))
        refuse([f"unknown ranker setting {key}: the checkpoint is of another code version" for key in unknown])
        return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in values.items()})

    def to_json(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class ContentConfig(RankerConfig):
    """Rankers that read the encoder's vectors: SaviorRec and the control `frozen_content`."""

    content_width: int = 64  # of the encoder's vectors, and of SaviorRec's attention
    content_gain: float | None = 6.0  # as item_gain; vectors have length 1, so two equal ones start at 6^2 / sqrt(64) = 4.5
    mba_width: int = 64  # of a code's vector; paper: 64, and 8 to 64 in its ablation
    mba_gain: float = 1.0  # fresh kernels of the alignment are Glorot's times this; not printed
    heads: int = 8  # paper: 8

    def own_faults(self) -> list[str]:
        sizes = ("content_width", "mba_width", "heads", "mba_gain")
        faults = [f"{name} must be positive, got {getattr(self, name)}" for name in sizes if getattr(self, name) <= 0]
        if not faults and self.content_width % self.heads:
            faults.append(f"content_width must be a multiple of the {self.heads} heads, got {self.content_width}")
        if self.content_width < self.item_width:
            faults.append(f"content_width must not be below item_width, got {self.content_width} and {self.item_width}")
        return faults


@dataclass(frozen=True)
class SmileConfig(RankerConfig):
    """SMILE's own: a SID is three RQ codes and two OPQ codes of what they leave over."""

    rq_levels: int = 3  # the first ones of a SID; paper: 3
    rq_width: int = 16  # of a level's vector, before fusion; not printed
    opq_codes: int = CODEBOOK_SIZE  # of each of the two sub-codebooks; not printed
    opq_weight: float = 0.5  # paper: 0.5
    transfer_loss_weight: float = 0.01  # paper: 0.01
    opq_loss_weight: float = 0.05  # paper: 0.05

    def own_faults(self) -> list[str]:
        sizes = ("rq_levels", "rq_width", "opq_codes")
        faults = [f"{name} must be positive, got {getattr(self, name)}" for name in sizes if getattr(self, name) < 1]
        weights = ("opq_weight", "transfer_loss_weight", "opq_loss_weight")
        faults += [f"{name} must be in [0, 1], got {value}" for name in weights if not 0 <= (value := getattr(self, name)) <= 1]
        if self.rq_levels > self.levels:
            faults.append(f"rq_levels must not exceed the {self.levels} levels of a SID, got {self.rq_levels}")
        if self.item_width % 2:
            faults.append(f"item_width must be even, half of it for each OPQ code, got {self.item_width}")
        return faults


def config_kind(ranker: str) -> type[RankerConfig]:
    """Which settings a ranker has."""
    if ranker.startswith(SAVIORREC) or ranker == "frozen_content":
        return ContentConfig
    return SmileConfig if ranker.startswith(SMILE) else RankerConfig


@dataclass(frozen=True)
class TrainConfig:
    """One pass over each day, in batches."""

    batch_size: int = 4096  # paper: 4096
    dense_rate: float = 1e-3  # AdamW, dense layers
    weight_decay: float = 1e-4  # AdamW
    table_rate: float = 0.02  # Adagrad, id and SID tables
    # Adagrad's first squared-gradient sum. A row's gradient is a share of a batch mean, about 1e-5: Keras's default of 0.1
    # makes steps of a millionth.
    table_accumulator: float = 1e-6
    labels: tuple[str, ...] = (CLICKED, ORDERED)  # what the data set records; without `ordered`, CTCVR is masked
    # Full batches by XLA: seconds to compile, then a step takes 0.6 of its time. It rounds otherwise, so a run keeps to one.
    compiled: bool = False

    def __post_init__(self) -> None:
        rules = [
            (self.batch_size > 1, f"batch_size must be at least 2, got {self.batch_size}"),
            (self.dense_rate > 0 and self.table_rate > 0, "dense_rate and table_rate must be positive"),
            (self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}"),
            (self.table_accumulator > 0, f"table_accumulator must be positive, got {self.table_accumulator}"),
            (CLICKED in self.labels and set(self.labels) <= {CLICKED, ORDERED},
             f"labels must be [clicked] or [clicked, ordered], got {list(self.labels)}"),
        ]
        refuse([fault for holds, fault in rules if not holds])

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"labels": list(self.labels)}


def preset(ranker: str, name: str) -> tuple[RankerConfig, TrainConfig]:
    """The two configurations of a ranker. Raises ConfigError: unknown ranker or preset."""
    if name not in PRESETS:
        raise ConfigError(f"--preset expects one of {', '.join(PRESETS)}, got {name!r}")
    network, training = config_kind(ranker)(ranker=ranker), TrainConfig(compiled=True)
    if name == PRACTICAL:
        network = replace(network, align_loss_weight=0.01)
        if isinstance(network, ContentConfig):
            network = replace(network, mba_width=16, mba_gain=0.1, heads=1)
    if ranker in MBA_WIDTHS:
        network = replace(network, mba_width=MBA_WIDTHS[ranker])
    return network, training
