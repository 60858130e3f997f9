"""Be one worker of a distributed training run: the one that TF_CONFIG names, as operators of a cluster set it.

    TF_CONFIG='{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}' \\
        python -m model.train_worker --ranker gatesid --as-of 2026-11-22

The arguments are those of model.train_ranker, the same for every worker. All read the same tables and go on from the same
checkpoint; the first one writes predictions and checkpoints, so the state folder is shared. A worker trusts whoever reaches its
port: keep those inside the cluster. On one machine, model.train_distributed starts the workers.
"""

import sys

import tensorflow as tf

from features.errors import ConfigError, EnvironmentFault, exit_code
from model import train_ranker
from model.data_parallel import Workers

# Between operations. A sum waits for the other workers in one of them; with a single one, all would wait for ever.
THREADS = 4


def work(argv: list[str] | None) -> None:
    """Raises ConfigError: TF_CONFIG names no worker; EnvironmentFault: another one is gone; and what train_ranker.run does."""
    job = train_ranker.parse(argv)
    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    if "worker" not in cluster.cluster_spec().jobs:
        raise ConfigError("TF_CONFIG must hold the cluster's workers and this process's place among them, it is empty: "
                          "set it, or let python -m model.train_distributed start workers on this machine")
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    workers = Workers(tf.distribute.MultiWorkerMirroredStrategy(cluster), cluster.task_id)
    say = (lambda line: print(line, flush=True)) if workers.first else (lambda line: None)
    try:
        say(train_ranker.run(job, say, workers))
    except (tf.errors.UnavailableError, tf.errors.AbortedError) as gone:
        raise EnvironmentFault(f"worker {workers.index} lost another one: start all of them again, they go on from the last "
                               f"checkpoint ({gone.message.splitlines()[0]})") from None


def main(argv: list[str] | None = None) -> int:
    return exit_code(lambda: work(argv))


if __name__ == "__main__":
    sys.exit(main())
