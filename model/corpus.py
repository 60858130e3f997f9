"""What encoder and codebook are trained on: distinct contents and their co-click pairs, as known before a day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from features.content import ContentSchema, TokenBatch, learn_schema, tokenise
from features.errors import DataError
from features.layout import Layout
from features.names import TABLE_CO_CLICK_PAIRS, TABLE_ITEMS
from model.co_click_pairs import PairSplit, no_pairs, read_pairs, split_pairs
from model.item_catalogue import Catalogue, distinct_contents, open_table, read_items, read_online_days


@dataclass(frozen=True)
class Corpus:
    schema: ContentSchema
    catalogue: Catalogue
    tokens: TokenBatch
    pairs: PairSplit
    online_days: NDArray[np.int64]  # [items], of the catalogue's items at as_of
    reads: dict[str, int | None]  # table -> version

    @property
    def rows(self) -> dict[str, int]:
        """For the manifest."""
        return {"items": len(self.catalogue.item_ids), "contents": len(self.catalogue.contents),
                "items_without_content": self.catalogue.without_content, "items_with_faults": len(self.catalogue.faults),
                "pairs_trained_on": len(self.pairs.train.rows), "pairs_held_out": len(self.pairs.held_out.rows)}


def read_corpus(layout: Layout, as_of: date, first: date | None, schema: ContentSchema | None = None,
                versions: Mapping[str, int] | None = None) -> Corpus:
    """Items known before `as_of` and pairs of the days [first, as_of); `schema` is learnt if not given. Tables are read at
    `versions`, by name, and the newest of what is not named.

    Prints what was found and what was left out. Raises DataError: not one item has content. ArtefactError: no table `items`.
    """
    versions = versions or {}
    items_table = open_table(layout.table(TABLE_ITEMS), versions.get(TABLE_ITEMS))
    item_ids, items = read_items(items_table, as_of)
    schema = learn_schema(items) if schema is None else schema
    catalogue = distinct_contents(item_ids, items, schema)
    if not catalogue.contents:
        raise DataError(f"none of {len(items)} items known before {as_of} has content (a title, attributes or a vector): "
                        "load a catalogue with text")
    pairs, reads = no_pairs(), {TABLE_ITEMS: items_table.version(), TABLE_CO_CLICK_PAIRS: None}
    if (layout.table(TABLE_CO_CLICK_PAIRS) / "_delta_log").is_dir():
        pairs_table = open_table(layout.table(TABLE_CO_CLICK_PAIRS), versions.get(TABLE_CO_CLICK_PAIRS))
        reads[TABLE_CO_CLICK_PAIRS] = pairs_table.version()
        pairs = read_pairs(pairs_table, catalogue, first, as_of)
    corpus = Corpus(schema, catalogue, tokenise(catalogue.contents, schema), split_pairs(pairs, catalogue.contents),
                    read_online_days(items_table, as_of, catalogue.item_ids), reads)
    print("corpus | " + " | ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in corpus.rows.items()), flush=True)
    for item_id, fault in list(catalogue.faults.items())[:5]:
        print(f"left out: item {item_id}: {fault}", flush=True)
    return corpus
