"""parsl on this machine: two workers. What a cluster does can be tried with it."""

from parsl import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider

config = Config(
    executors=[
        HighThroughputExecutor(
            address="127.0.0.1",
            max_workers_per_node=2,
            # after a kill, workers end when they have heard nothing for so many seconds
            heartbeat_period=2,
            heartbeat_threshold=10,
            provider=LocalProvider(
                init_blocks=1,
                max_blocks=1,
                worker_init="export OMP_NUM_THREADS=1",
            ),
        )
    ],
    strategy="none",
    retries=1,  # of a point whose worker died
)
