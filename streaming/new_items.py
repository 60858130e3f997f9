"""The catalogue role: an item's profile and SID in the online store within a second of its record, by the live codebook.

Within a codebook version a published SID never moves: the first one given is kept in the state store, next to those that
the nightly job gave, and an edited title does not change it. An item without content has the codes -1 and gets its SID when
content comes. Before any codebook is live profiles are pushed all the same, and the items wait.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from numpy.typing import NDArray

from features.catalogue import ItemContent
from features.clock import Clock
from features.errors import ArtefactError
from features.live_codebook import live_codebook_in
from features.names import CODEBOOK_VERSION, CODES, ITEM_ID, TABLE_SEMANTIC_IDS
from features.spec import MISSING_CODE
from streaming.config import StreamConfig
from streaming.dead_letter import DeadLetters
from streaming.decode_items import Item, decode_items
from streaming.kafka_io import Records, TopicPart
from streaming.report import Report, say
from streaming.valkey_store import server_of

LOOK_EVERY_S = 0.5
CHUNK = 5_000
MOST_WITHIN_MS = 999


class Encoder(Protocol):
    def codes(self, items: Sequence[ItemContent]) -> NDArray[np.int32]:
        """int32[n, levels], -1 where there is no content."""

    def faults(self, items: Sequence[ItemContent]) -> dict[int, str]:
        """Position → why that item cannot be encoded."""


class PublishedSids:
    """The SIDs of one codebook version: a hash in the state store, item → codes; the first one stays."""

    def __init__(self, client: Any, group: str, version: str) -> None:
        self.client = client
        self.key = f"gatesid:{group}:sids:{version}"

    def known(self, item_ids: list[str]) -> dict[str, NDArray[np.int32]]:
        found = self.client.hmget(self.key, item_ids) if item_ids else []
        return {item: np.frombuffer(value, "<i4") for item, value in zip(item_ids, found, strict=True) if value is not None}

    def keep(self, item_ids: list[str], codes: NDArray[np.int32]) -> dict[str, NDArray[np.int32]]:
        """Give these items these SIDs unless they have one; what they have now. Rows without a code are not kept."""
        pipe = self.client.pipeline(transaction=False)
        for item, row in zip(item_ids, codes.astype("<i4"), strict=True):
            if (row != MISSING_CODE).all():
                pipe.hsetnx(self.key, item, row.tobytes())
        pipe.execute()
        return self.known(item_ids)

    def keep_table(self, path: Path, version: str) -> int:
        """Take over what the nightly job published for this version; how many rows."""
        try:
            table = DeltaTable(str(path))
        except TableNotFoundError:
            return 0
        rows = table.to_pyarrow_table(partitions=[(CODEBOOK_VERSION, "=", version)], columns=[ITEM_ID, CODES])
        items, codes = rows[ITEM_ID].to_pylist(), rows[CODES].to_pylist()
        for start in range(0, len(items), CHUNK):
            self.keep(items[start:start + CHUNK], np.array(codes[start:start + CHUNK], np.int32))
        return len(items)


class CatalogRole:
    name = "catalog"

    def __init__(self, config: StreamConfig, client: Any, online: Any, load_encoder: Callable[[Path], Encoder],
                 dead_letters: DeadLetters, report: Report, clock: Clock) -> None:
        self.config, self.client, self.online, self.load_encoder = config, client, online, load_encoder
        self.dead_letters, self.report, self.clock = dead_letters, report, clock
        self.group = f"{config.group}-catalog"
        self.topics = [config.catalog_topic]
        self.positions: dict[TopicPart, int] = {}
        self.watermark: dict[TopicPart, int] = {}
        self.same_ms: dict[TopicPart, int] = {}  # how many batches ago the millisecond of the watermark began
        self.waiting: dict[str, Item] = {}
        self.version: str | None = None
        self.encoder: Encoder | None = None
        self.published: PublishedSids | None = None
        self.looked = -LOOK_EVERY_S
        self.server_run = server_of(client).run
        self.said = ""
        self.follow_live_codebook()

    def on_assigned(self, parts: list[TopicPart]) -> dict[TopicPart, int | None]:
        """From the beginning: the topic is compacted, and every push is idempotent."""
        for part in parts:
            self.positions[part], self.watermark[part], self.same_ms[part] = 0, -1, 0
        self.server_run = server_of(self.client).run
        return dict.fromkeys(parts)

    def on_revoked(self, parts: list[TopicPart]) -> None:
        for part in parts:
            self.positions.pop(part, None)

    def follow_live_codebook(self) -> None:
        """Load the codebook that is live now, warm; then every item met so far gets its SID of that version."""
        self.looked = time.monotonic()
        try:
            version = live_codebook_in(self.config.layout.live_codebook_file)
        except ArtefactError as fault:
            self.say(f"{fault}: going on with {self.version or 'none'}")
            return
        if version is None:
            self.say(f"no codebook is live yet ({self.config.layout.live_codebook_file}): profiles are pushed, SIDs wait")
            return
        if version == self.version:
            return
        try:
            encoder = self.load_encoder(self.config.layout.codebook(version))
        except ArtefactError as fault:
            self.say(f"the live codebook {version} cannot be loaded ({fault}): going on with {self.version or 'none'}")
            return
        encoder.codes([ItemContent("warm up", {})])
        published = PublishedSids(self.client, self.config.group, version)
        taken = published.keep_table(self.config.layout.table(TABLE_SEMANTIC_IDS), version)
        self.version, self.encoder, self.published = version, encoder, published
        self.say(f"codebook {version} is live ({taken:,} SIDs published before)")

    def say(self, line: str) -> None:
        """Once, however often it is found again."""
        if line != self.said:
            self.said = line
            say(line)

    def handle(self, part: TopicPart, records: Records) -> None:
        if part not in self.positions:
            return
        ingest_ms = np.maximum.accumulate(np.maximum(records.time_ms, self.watermark[part]))
        items, rejected = decode_items(records.key, records.value, ingest_ms)
        self.dead_letters.send(part, records, rejected)
        newest = list({item.item_id: item for item in items}.values())
        # The broker stamps many records alike: of two of an item and a millisecond one may end a batch, one begin the next.
        first_ms = int(ingest_ms[0])
        self.same_ms[part] = self.same_ms[part] + 1 if first_ms == self.watermark[part] else 0
        if newest:
            self.online.push_profiles(
                [item.item_id for item in newest], [item.published_ms for item in newest],
                [item.content.title for item in newest], [item.ingest_ms for item in newest],
                [min(self.same_ms[part], MOST_WITHIN_MS) if item.ingest_ms == first_ms else 0 for item in newest])
        self.waiting |= {item.item_id: item for item in newest}
        self.give_sids()
        if int(ingest_ms[-1]) != first_ms:
            self.same_ms[part] = 0
        self.positions[part], self.watermark[part] = records.next_offset, int(ingest_ms[-1])
        progress = self.report.progress
        progress.records += len(records)
        progress.dead += len(rejected)
        progress.outcomes.update({"counted": len(items)})
        progress.outcomes.update(letter.reason for letter in rejected)
        progress.watermark_ms = max(progress.watermark_ms, int(ingest_ms[-1]))

    def give_sids(self) -> None:
        """SIDs for the items that wait for one, if a codebook is live."""
        if self.encoder is None or self.published is None or not self.waiting:
            return
        items, self.waiting = list(self.waiting.values()), {}
        for start in range(0, len(items), CHUNK):
            some = items[start:start + CHUNK]
            ids = [item.item_id for item in some]
            known = self.published.known(ids)
            new = [item for item in some if item.item_id not in known]
            if new:
                new_ids = [item.item_id for item in new]
                codes = self.encoder.codes(self.encodable(self.encoder, new))
                known |= dict(zip(new_ids, codes, strict=True)) | self.published.keep(new_ids, codes)
            # As of now, not of the record: what a newer codebook gave replaces what an older one gave.
            self.online.push_semantic_ids(ids, np.stack([known[i] for i in ids]), self.version, self.clock.now_ms())

    def encodable(self, encoder: Encoder, items: list[Item]) -> list[ItemContent]:
        """Their contents; one that this codebook cannot take (a vector of another width, say) counts as none, and is told."""
        contents = [item.content for item in items]
        for place, why in encoder.faults(contents).items():
            say(f"item {items[place].item_id} gets no SID: {why}")
            self.report.progress.outcomes.update(["not_encodable"])
            contents[place] = ItemContent(None, {})
        return contents

    def settle(self, idle: bool) -> dict[TopicPart, int | None]:
        if time.monotonic() - self.looked >= LOOK_EVERY_S:
            if server_of(self.client).run != self.server_run:  # it may have come back as an older copy of itself
                return self.on_assigned(list(self.positions))
            before = self.version
            self.follow_live_codebook()
            if self.version != before:
                self.give_sids()
                if before is not None:  # the items met under the old codebook are read again
                    return self.on_assigned(list(self.positions))
        return {}

    def finish(self) -> None:
        self.give_sids()
