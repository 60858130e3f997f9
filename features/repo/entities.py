"""What features belong to: an item of the catalogue, a user."""

from feast import Entity, ValueType

from features.names import ENTITY_ITEM, ENTITY_USER, ITEM_ID, USER_ID

item = Entity(name=ENTITY_ITEM, join_keys=[ITEM_ID], value_type=ValueType.STRING, description="a product of the catalogue")
user = Entity(name=ENTITY_USER, join_keys=[USER_ID], value_type=ValueType.STRING, description="who sees and takes items")
