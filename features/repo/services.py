"""What a ranker reads of the store, as a whole and by entity (one batched read per entity)."""

from typing import Any

from feast import FeatureService

from features.names import SERVICE_RANKING
from features.repo.views import item_maturity, item_profile, item_semantic_id, item_semantic_id_b, user_history

ITEM_VIEWS: list[Any] = [item_maturity, item_semantic_id, item_semantic_id_b, item_profile]
ranking_v1_items = FeatureService(name=f"{SERVICE_RANKING}_items", features=ITEM_VIEWS)
ranking_v1_user = FeatureService(name=f"{SERVICE_RANKING}_user", features=[user_history])
ranking_v1 = FeatureService(name=SERVICE_RANKING, features=[*ITEM_VIEWS, user_history])
