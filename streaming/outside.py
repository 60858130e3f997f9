"""What a role works with and does not own may be away for a while: the broker, the stores, the disk under the lake."""

from deltalake.exceptions import DeltaError
from redis import RedisError

from features.errors import EnvironmentFault
from streaming.kafka_io import KafkaError

AWAY = (EnvironmentFault, KafkaError, RedisError, DeltaError, OSError)
