"""What the encoder sees of an item."""

import numpy as np
import pytest

from features.catalogue import ItemContent
from features.content import (
    MAX_FIELDS,
    UNKNOWN_ID,
    ContentSchema,
    content_faults,
    content_keys,
    learn_schema,
    schema_from_json,
    schema_to_json,
    tokenise,
)
from features.errors import DataError

OATS = ItemContent("Rolled Oats", {"brand": "National", "maker": "69"})
MILK = ItemContent("Milk", {"brand": "national", "maker": "7"}, [0.5, 1.0])
BARE = ItemContent(None, {"brand": "Private"})


def test_fields_and_frequent_values_are_learnt_in_a_fixed_order():
    schema = learn_schema([OATS, MILK, BARE])
    assert schema.fields == ("brand", "maker")
    assert schema.values == (("national",), ())  # once is not enough
    assert schema.vector_width == 2
    assert learn_schema([BARE, OATS, MILK]) == schema
    assert schema_from_json(schema_to_json(schema)) == schema


def test_only_the_most_frequent_fields_are_kept():
    items = [ItemContent(None, {f"f{n:02}": "x" for n in range(n + 1)}) for n in range(MAX_FIELDS + 3)]
    assert learn_schema(items).fields == tuple(f"f{n:02}" for n in range(MAX_FIELDS))


def test_the_commonest_vector_width_wins_and_the_others_are_named():
    items = [ItemContent("a", {}, [1.0, 2.0]), ItemContent("b", {}, [1.0, 2.0]), ItemContent("c", {}, [1.0])]
    schema = learn_schema(items)
    assert schema.vector_width == 2
    assert "must have 2 numbers" in content_faults(items, schema)[2]


def test_tokens_mark_what_is_present_and_share_texts():
    schema = learn_schema([OATS, MILK, BARE])
    batch = tokenise(content_keys([OATS, MILK, BARE], schema), schema)
    assert batch.present.tolist() == [[True, False, True, True], [True, True, True, True], [False, False, True, False]]
    assert batch.text_rows[0, 2] == batch.text_rows[1, 2]  # "national"
    assert batch.value_rows[:, 0].tolist() == [1, 1, 0]  # "private" is not known: its field's row 0
    assert batch.text_rows[2, 2] > 0  # but it has words
    assert batch.text_rows[0, 3] == 0  # and an id has none
    assert batch.vectors[1].tolist() == [0.5, 1.0]
    assert not batch.texts[0].any()


def test_ids_that_the_encoder_never_saw_are_one_value():
    schema = ContentSchema(("maker",), (("69",),), 0)
    keys = content_keys([ItemContent("a", {"maker": maker}) for maker in ("69", "4711", "4712", "")], schema)
    assert [key.values[0] for key in keys] == ["69", UNKNOWN_ID, UNKNOWN_ID, ""]


def test_fields_the_encoder_does_not_know_are_no_content():
    schema = ContentSchema(("brand",), ((),), 0)
    keys = content_keys([ItemContent(None, {"colour": "red"}, [1.0]), ItemContent(" \n", {})], schema)
    assert [key.is_empty() for key in keys] == [True, True]


@pytest.mark.parametrize(("item", "message"), [
    (ItemContent(7, {}), "title must be text"),
    (ItemContent("a", {"brand": None}), "attributes must map names to strings"),
    (ItemContent("a", ["brand"]), "attributes must map names to strings"),
    (ItemContent("a", {}, [1.0]), "vector must have 2 numbers"),
    (ItemContent("a", {}, [1.0, float("nan")]), "vector must be finite"),
    (ItemContent("a", {}, [1.0, float("inf")]), "vector must be finite"),
    (ItemContent("a", {}, [1.0, 1e300]), "vector must be finite"),
    (ItemContent("a", {}, ["x", "y"]), "vector must be numbers")])
@pytest.mark.filterwarnings("ignore:overflow")
def test_content_that_cannot_be_encoded_is_named(item, message):
    schema = ContentSchema((), (), 2)
    assert message in content_faults([ItemContent("fine", {}), item], schema)[1]
    with pytest.raises(DataError, match="1 of 2 items cannot be encoded .item at 1"):
        content_keys([ItemContent("fine", {}), item], schema)


def test_an_empty_batch_has_the_right_shapes():
    schema = ContentSchema(("brand",), (("x",),), 3)
    batch = tokenise([], schema)
    assert batch.present.shape == (0, 3)
    assert batch.vectors.shape == (0, 3)
    assert np.array_equal(batch.texts, np.zeros((1, 256)))


def test_a_schema_of_repeated_fields_is_refused():
    with pytest.raises(ValueError, match="distinct fields"):
        ContentSchema(("a", "a"), ((), ()), 0)
