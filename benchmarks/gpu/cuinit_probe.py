"""`python -I -c SOURCE [no-new-privs] [no-capabilities]`: give privileges up, call cuInit, print JSON.

Needs the standard library alone, so that any Python may run it as any user. `code` is what cuInit returned,
None where libcuda cannot be loaded. `gpus` counts what cuDeviceGetCount sees, `context` is what
cuDevicePrimaryCtxRetain on the first GPU returned: cuInit alone need not touch /dev/nvidia-uvm.
"""

from __future__ import annotations

import ctypes
import glob
import json
import os
import sys

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h
_LAST_CAPABILITY = 63


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Empty the bounding set, then the effective, permitted and inheritable ones. Raises OSError."""
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails above the kernel's last one
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


def initialise() -> dict[str, object]:
    """Call cuInit, count GPUs, and make a context on the first."""
    try:
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"code": None, "why": str(error)}
    code = cuda.cuInit(0)
    answer: dict[str, object] = {"code": code, "why": _name(cuda, code)}
    if code == 0:
        count, context = ctypes.c_int(-1), ctypes.c_void_p()
        cuda.cuDeviceGetCount(ctypes.byref(count))
        made = cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0)
        answer |= {"gpus": count.value, "context": made, "context_why": _name(cuda, made)}
    return answer


def _name(cuda: ctypes.CDLL, code: int) -> str:
    name = ctypes.c_char_p()
    cuda.cuGetErrorName(code, ctypes.byref(name))
    return (name.value or b"unknown").decode()


def _status() -> dict[str, str]:
    """What the kernel says of this process's privileges."""
    wanted = {"NoNewPrivs", "CapEff", "CapBnd"}
    with open("/proc/self/status", encoding="ascii") as stream:  # noqa: PTH123 - pathlib takes longer to import
        pairs = (line.split(":", 1) for line in stream)
        return {name: value.strip() for name, value in pairs if name in wanted}


def main() -> None:
    """Do as the arguments say; print what came of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if "no-capabilities" in sys.argv[1:]:
        drop_capabilities(libc)
    if "no-new-privs" in sys.argv[1:]:
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    nodes = [sorted(glob.glob("/dev/nvidia*"))]  # noqa: PTH207 - as above
    answer = initialise()
    nodes.append(sorted(glob.glob("/dev/nvidia*")))  # noqa: PTH207
    made = sorted({*nodes[1]} - {*nodes[0]})
    print(json.dumps({**answer, "user": os.getuid(), **_status(), "nodes": nodes[0], "nodes_made": made}))


if __name__ == "__main__":
    main()
