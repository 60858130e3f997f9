"""The nearest code of many rows at once, fast; what is published is encoded by `features.sid.encode`."""

import faiss
import numpy as np


def nearest(x: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """int64[n] for float32[n, W] and [K, W]."""
    index = faiss.IndexFlatL2(codebook.shape[1])
    index.add(np.ascontiguousarray(codebook))
    return index.search(np.ascontiguousarray(x), 1)[1][:, 0]
