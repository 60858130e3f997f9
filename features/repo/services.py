"""What a ranker reads of the store, as a whole and by entity (one batched read per entity)."""

from feast import FeatureService

from features.names import SERVICE_RANKING
from features.repo.views import item_maturity, item_profile, item_semantic_id, user_history

ranking_v1_items = FeatureService(name=f"{SERVICE_RANKING}_items", features=[item_maturity, item_semantic_id, item_profile])
ranking_v1_user = FeatureService(name=f"{SERVICE_RANKING}_user", features=[user_history])
ranking_v1 = FeatureService(name=SERVICE_RANKING, features=[item_maturity, item_semantic_id, item_profile, user_history])
