"""Id → row of a model's tables, as exported with it: assets.extra/{item,user}_index.parquet (columns id, row)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.errors import ArtefactError
from features.spec import OOV_ROW

ITEM_FILE = Path("assets.extra") / "item_index.parquet"
USER_FILE = Path("assets.extra") / "user_index.parquet"


class EntityIndex:
    """Looks rows up by hashing, many ids at once.

    Args:
      ids: strings, each once.
      rows: int32[len(ids)], each >= 2.
    """

    def __init__(self, ids: Sequence[str] | NDArray[Any], rows: NDArray[np.int32]) -> None:
        self.ids = pd.Index(np.asarray(ids, dtype=object))
        self.table = np.append(np.asarray(rows, np.int32), np.int32(OOV_ROW))  # the last entry answers place -1
        self.ids.get_indexer(self.ids[:1])  # builds the hash table now, not in the first request

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: NDArray[np.object_]) -> NDArray[np.int32]:
        """int32[len(ids)]: the id's row, OOV_ROW for an id that the model does not know."""
        return self.table[self.ids.get_indexer(ids)]

    def save(self, path: Path) -> None:
        pq.write_table(pa.table({"id": pa.array(self.ids, pa.string()), "row": self.table[:-1]}), path)

    @classmethod
    def load(cls, path: Path) -> "EntityIndex":
        try:
            table = pq.read_table(path)
            return cls(table["id"].to_numpy(), table["row"].to_numpy())
        except (OSError, KeyError, pa.ArrowException) as fault:
            raise ArtefactError(f"{path} is not an entity index ({fault}): export the model again") from None
