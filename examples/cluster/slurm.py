"""parsl on a cluster with Slurm: up to eight jobs of one node, each with 32 workers of one core.

Partition, account, wall time, cores and the environment are yours to set.
"""

from parsl import Config
from parsl.addresses import address_by_hostname
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider

CORES = 32

config = Config(
    executors=[
        HighThroughputExecutor(
            # of the login node, as the nodes reach it: address_by_interface("ib0") may be another
            address=address_by_hostname(),
            max_workers_per_node=CORES,
            heartbeat_period=15,
            heartbeat_threshold=60,
            provider=SlurmProvider(
                partition="standard",
                account=None,
                nodes_per_block=1,
                cores_per_node=CORES,
                init_blocks=1,
                max_blocks=8,
                walltime="04:00:00",
                exclusive=False,  # parsl's default asks for whole nodes
                scheduler_options="",  # further lines with #SBATCH
                worker_init="export OMP_NUM_THREADS=1; . $HOME/venv/bin/activate",
                launcher=SrunLauncher(),
            ),
        )
    ],
    retries=1,  # of a point whose worker died, as at the end of a job's wall time
)
