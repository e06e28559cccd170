"""Run by conftest.Warm: imports what training needs, then forks a child for every command read from stdin."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

PR_SET_PTRACER = 0x59616D61


def main() -> None:
    from peft import LoraConfig  # noqa: F401
    from transformers import AutoTokenizer, LlamaForCausalLM  # noqa: F401

    import scenario_model.cli
    import scenario_model.train.command
    import scenario_model.train.run  # noqa: F401 - what the fork inherits

    print("ready", flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        child = os.fork()
        if child == 0:
            become_command(message, sys.argv[1])
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become_command(message: dict[str, object], log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if message["stopped"]:
        # So that strace may attach where only descendants may be traced.
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
    from scenario_model.cli import main as command

    sys.argv = ["scenario-model", *message["arguments"]]  # type: ignore[misc]
    code = 0
    try:
        command()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - the child must never go on as the parent
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


main()
