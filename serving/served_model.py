"""What the ranking call must know of the model that answers: its version, codebook and the rows of its tables."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from features.artefacts import read_manifest
from features.errors import CodebookMismatch
from features.spec import contract_hash
from serving.entity_index import ITEM_FILE, USER_FILE, EntityIndex
from serving.fault import DEADLINE_EXCEEDED, ServingFault

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
        self.fault: ServingFault | None = None
        self.fault_time = 0.0
        self.worker = ThreadPoolExecutor(1, "follow-model")  # one at a time, and who waits may give up
        self.lock = threading.Lock()
        self.under_way: Future[ServedModel] | None = None

    def follow(self, timeout_s: float | None = None) -> ServedModel:
        """Load the index of the version that answers, if it is not the one held. Callers at the same time share one attempt.

        Raises ServingFault: the server has no version or does not answer; DEADLINE_EXCEEDED: the index is still being loaded.
        ArtefactError: its folder is not here.
        """
        with self.lock:
            if self.under_way is None or self.under_way.done():
                self.under_way = self.worker.submit(self.load_answering)
            attempt = self.under_way
        try:
            return attempt.result(timeout_s)
        except TimeoutError:
            raise ServingFault(DEADLINE_EXCEEDED, "the index of the version that answers is still being loaded") from None

    def load_answering(self) -> ServedModel:
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

    def close(self) -> None:
        self.worker.shutdown(wait=False, cancel_futures=True)
