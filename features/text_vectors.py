"""Text to vectors without a model server: WordLlama's static token embeddings, averaged. Its wheel holds all it needs.

A text's vector is a function of that text alone: tokens are pooled text by text, so neither the batch it came in nor
its order changes a bit.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalogue import MAX_TITLE_LENGTH

TEXT_WIDTH = 256
TEXT_MODEL = "wordllama-l2-supercat-256"


def clean_text(text: str | None) -> str:
    """One spelling for one text: Unicode NFKC, case folded, single spaces, at most MAX_TITLE_LENGTH characters.

    Lone surrogates (half of a broken emoji) and control characters are dropped: no tokenizer takes them. "" = no text.
    """
    if not text:
        return ""
    whole = text[:MAX_TITLE_LENGTH].encode("utf-8", "ignore").decode("utf-8")
    folded = unicodedata.normalize("NFKC", whole).casefold()
    printable = "".join(c if c.isprintable() else " " for c in folded)
    return " ".join(printable.split())[:MAX_TITLE_LENGTH].strip()


def text_vectors(texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit-length vectors of cleaned texts, float32[n, 256]; the zero vector for "" (about 30 microseconds a text)."""
    vectors = np.zeros((len(texts), TEXT_WIDTH), np.float32)
    given = [row for row, text in enumerate(texts) if text]
    if not given:
        return vectors
    model = text_model()
    table: NDArray[np.float32] = model.embedding
    encoded = model.tokenizer.encode_batch_fast([texts[row] for row in given], add_special_tokens=False)
    for row, tokens in zip(given, encoded, strict=True):
        ids = np.asarray(tokens.ids, np.int64)[np.asarray(tokens.attention_mask, bool)]
        vectors[row] = table[ids[ids < len(table)]].sum(axis=0, dtype=np.float32)
    lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
    lengths[lengths == 0] = 1
    return vectors / lengths


@lru_cache(maxsize=1)
def text_model() -> Any:
    """WordLlama from its own wheel; never downloads. One copy a process, loaded at first use (0.3 s)."""
    import wordllama

    # Its loader looks for the tokenizer beside the weights only if the package folder is given as the cache.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, dim=TEXT_WIDTH, disable_download=True)
