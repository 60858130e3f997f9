"""A retrained encoder starts from a published one: every weight that both have is carried over.

The vocabulary grows with the catalogue. A value that the old encoder did not list was its field's unknown value to it and
starts there, so an item's vector is at first what the old encoder gives; a new field starts fresh.
"""

import numpy as np

from features.content import FIRST_FIELD_TOKEN, ContentSchema
from features.encoder import ContentEncoder
from features.errors import ArtefactError
from model.encoder import SaviorEnc

# Rows of these belong to fields, values or the items' own vectors; all other weights have the same shape in every encoder.
OF_THE_SCHEMA = ("token_bias", "value_table", "vector_kernel")


def start_from(encoder: SaviorEnc, schema: ContentSchema, old: ContentEncoder) -> None:
    """Set the weights of a new encoder. Raises ArtefactError: the old one has other sizes, so nothing fits."""
    if old.config != encoder.config:
        raise ArtefactError(f"{old.version} is an encoder of {old.config}, expected {encoder.config}: train without "
                            "--warm-start")
    arrays = encoder.arrays()
    arrays |= {name: array for name, array in old.weights.items() if name not in OF_THE_SCHEMA}
    if old.schema.vector_width == schema.vector_width:
        arrays["vector_kernel"] = old.weights["vector_kernel"]
    arrays["token_bias"][:FIRST_FIELD_TOKEN] = old.weights["token_bias"][:FIRST_FIELD_TOKEN]
    for place, field in enumerate(schema.fields):
        if field not in old.schema.fields:
            continue
        old_place = old.schema.fields.index(field)
        arrays["token_bias"][FIRST_FIELD_TOKEN + place] = old.weights["token_bias"][FIRST_FIELD_TOKEN + old_place]
        known, rows = old.schema.value_rows[old_place], schema.value_rows[place]
        arrays["value_table"][list(rows.values())] = old.weights["value_table"][[known.get(v, known[""]) for v in rows]]
    for name, variable in encoder.weights.items():
        variable.assign(np.asarray(arrays[name]))
