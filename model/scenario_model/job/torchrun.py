"""`python3 -m scenario_model.job.torchrun …`: torchrun that ends as the process that failed first.

torchrun itself ends with 1 whatever its processes ended with, and a cluster could not tell a refused gate
from a host that is taken away. Takes torchrun's arguments; `--shutdown-timeout` (seconds, default 30) is how
long a checkpoint and its copy may take after SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import traceback

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from scenario_model.errors import InputError, Refused, TemporaryError

# What a process says about the job itself; everything else (a signal, a lost peer) may go well the next time.
_SAID = (Refused.exit_code, InputError.exit_code)


def main() -> int:
    """Run torchrun; returns the exit code."""
    # Until it handles the signal itself. The first process of a container has no other end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TemporaryError.exit_code))
    try:
        run(parse_args(None))  # type: ignore[no-untyped-call]
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode if first.exitcode in _SAID else TemporaryError.exit_code
    except SignalException:
        return TemporaryError.exit_code
    except Exception:  # noqa: BLE001 - another host did not come, or left
        traceback.print_exc()
        return TemporaryError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
