"""An item's attributes as the contract keeps them: the JSON text of an object of strings, keys sorted."""

import json

import pandas as pd
import pyarrow as pa


def attributes_text(columns: pd.DataFrame) -> pa.Array:
    """One JSON object a row from columns of strings; empty values are left out, a row without any is null."""
    names = sorted(columns.columns)
    rows = columns[names].astype(object).where(columns[names].notna(), None).itertuples(index=False, name=None)
    return pa.array([text_of({name: str(value) for name, value in zip(names, row, strict=True) if value not in (None, "")})
                     for row in rows], pa.string())


def text_of(attributes: dict[str, str]) -> str | None:
    return json.dumps(attributes, ensure_ascii=False) if attributes else None
