"""What one run of training is asked for, and where it reads and writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from features.layout import Layout
from features.names import TABLE_ITEM_VECTORS, TABLE_SEMANTIC_IDS
from model.config import RankerConfig, TrainConfig
from model.dataset import PinnedTable


@dataclass(frozen=True)
class Job:
    layout: Layout
    network: RankerConfig
    training: TrainConfig
    seed: int
    start: date
    as_of: date
    codebook: str | None  # None: a ranker without SIDs
    checkpoint_every: int = 0  # days; 0 = only at the end
    versions: Mapping[str, int] = field(default_factory=dict)  # of tables by name; the newest of what is not named
    output: Layout | None = None  # where checkpoints and predictions go; None: beside the tables
    sids: Layout | None = None  # where codebooks, SIDs and content vectors are; None: beside the tables
    # Where checkpoints to go on from are; of two of one day the last one's. Empty: where they go.
    origins: tuple[Layout, ...] = ()
    # Go on from a checkpoint of another codebook, and let SID tables learn so many days again. None: it is refused.
    warm_start_days: int | None = None

    @property
    def writes_to(self) -> Layout:
        return self.output or self.layout

    def checkpoint(self, as_of: date | str) -> Path:
        return self.writes_to.checkpoint(self.network.ranker, self.seed, str(as_of))

    @property
    def predictions(self) -> Path:
        return self.writes_to.predictions(self.network.ranker, self.seed)

    @property
    def is_candidate(self) -> bool:
        """It goes on from the rankers in use and leaves them alone."""
        return bool(self.origins) and self.writes_to != self.layout

    @property
    def codebooks(self) -> Layout:
        return self.sids or self.layout

    def table(self, name: str) -> PinnedTable:
        layout = self.codebooks if name in (TABLE_SEMANTIC_IDS, TABLE_ITEM_VECTORS) else self.layout
        return PinnedTable.at(layout.table(name), self.versions.get(name))

    def newest_checkpoint(self) -> Path | None:
        """The checkpoint in [start, as_of) that knows most; half-written ones have no such name."""
        chains = [layout.checkpoint(self.network.ranker, self.seed, "x").parent
                  for layout in self.origins or [self.writes_to]]
        folders = [path for chain in chains for path in chain.glob("[0-9]*-[0-9]*-[0-9]*")
                   if str(self.start) <= path.name < str(self.as_of)]
        return max(folders, key=lambda path: (path.name, chains.index(path.parent)), default=None)
