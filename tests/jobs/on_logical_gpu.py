"""A job on a logical GPU, as a process: `python -m tests.jobs.on_logical_gpu JOB ARGUMENTS`.

Ray starts its actors as on a machine with a GPU, and torch finds none and takes the CPU.
"""

from __future__ import annotations

import logging
import os
import sys

from pipeline.cluster import ONE_THREAD, QUIET, take_own_environment


def main() -> int:
    """Run the job on ten logical CPUs, one logical GPU and the memory that the real models need."""
    os.environ.update(QUIET)
    take_own_environment()
    import ray

    from jobs.command import run_job
    from jobs.registry import job_named

    ray.init(
        address="local",
        num_cpus=10,
        num_gpus=1,
        _memory=64 << 30,
        include_dashboard=False,
        runtime_env={"env_vars": ONE_THREAD},
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    try:
        return run_job(job_named(sys.argv[1]), sys.argv[2:])
    finally:
        ray.shutdown()


if __name__ == "__main__":
    sys.exit(main())
