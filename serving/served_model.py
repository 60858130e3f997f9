"""What the ranking call must know of the model that answers: its version, codebook and the rows of its tables."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from features.artefacts import read_manifest
from features.errors import CodebookMismatch
from features.spec import contract_hash
from serving.entity_index import ITEM_FILE, USER_FILE, EntityIndex
from serving.fault import ServingFault

# A server that hangs is asked once in this time, not by every request in turn.
FAULT_HOLD_SECONDS = 0.2


@dataclass(frozen=True)
class ServedModel:
    version: int
    ranker: str
    codebook_version: str | None  # None: the model reads no SIDs
    item_index: EntityIndex
    user_index: EntityIndex

    @classmethod
    def load(cls, folder: Path) -> "ServedModel":
        """Raises ArtefactError: no whole model there. CodebookMismatch: it has other inputs than this code assembles."""
        manifest = read_manifest(folder, kind="model")
        if manifest.get("contract_hash") != contract_hash():
            raise CodebookMismatch(f"{folder} expects the input contract {manifest.get('contract_hash')}, this code assembles "
                                   f"{contract_hash()}: start the ranking API of the model's code version")
        return cls(int(folder.name), manifest["ranker"], manifest["codebook_version"],
                   EntityIndex.load(folder / ITEM_FILE), EntityIndex.load(folder / USER_FILE))


class ModelFollower:
    """Holds the ServedModel of the version that the server answers with.

    A request names that version to the server, so ids are never looked up in another version's tables. The follower is
    asked to `follow` every second, and by a request that finds its version gone.

    Args:
      folder: <serving>/<model name>.
      answering: the version that the server answers with now; raises ServingFault.
    """

    def __init__(self, folder: Path, answering: Callable[[], int]) -> None:
        self.folder, self.answering = folder, answering
        self.current: ServedModel | None = None
        self.one_at_a_time = threading.Lock()
        self.fault: ServingFault | None = None
        self.fault_time = 0.0

    def follow(self) -> ServedModel:
        """Load the index of the version that answers, if it is not the one held.

        Raises ServingFault: the server has no version or does not answer. ArtefactError: its folder is not here.
        """
        with self.one_at_a_time:
            if self.fault is not None and time.monotonic() - self.fault_time < FAULT_HOLD_SECONDS:
                raise self.fault
            try:
                version = self.answering()
                self.fault = None
            except ServingFault as fault:
                self.fault, self.fault_time = fault, time.monotonic()
                raise
            if self.current is None or self.current.version != version:
                self.current = ServedModel.load(self.folder / str(version))
            return self.current
