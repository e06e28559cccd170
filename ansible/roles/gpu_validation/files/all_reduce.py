"""Run by torchrun on every host: all-reduce numbers over all of them, and print the network's bandwidth as JSON.

The bus bandwidth is what NCCL's own tests report: 2 (n - 1) / n times the size, over the time of one
all-reduce, so that it can be compared with the slowest link whatever the number of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import time

import torch
import torch.distributed as distributed

_ROUNDS = 10


def main() -> None:
    """Join, warm up, measure, check the sum; the first process prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, required=True)
    elements = parser.parse_args().mebibytes * 2**18
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if gpu else "gloo")
    rank, world = distributed.get_rank(), distributed.get_world_size()
    took = []
    for _ in range(_ROUNDS):
        numbers = torch.full((elements,), float(rank + 1), device=device)
        distributed.barrier()
        start = time.monotonic()
        distributed.all_reduce(numbers)
        if gpu:
            torch.cuda.synchronize(device)
        took.append(time.monotonic() - start)
    right = bool((numbers == world * (world + 1) / 2).all())
    bus = 2 * (world - 1) / world * elements * 4 / sorted(took)[_ROUNDS // 2] / 1e9
    if rank == 0:
        print(json.dumps({"world": world, "bus_gb_s": bus, "right": right}), flush=True)
    distributed.barrier()
    # gloo's threads occasionally abort the interpreter's shutdown; all output is written already.
    os._exit(0 if right else 1)


if __name__ == "__main__":
    main()
