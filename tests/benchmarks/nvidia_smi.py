"""Stands for nvidia-smi: the format of its answers, made up as for one H100."""

import sys

QUERIES = {
    "driver_version": "580.159.04",
    "index": "0",
    "gpu_recovery_action": "None",
    "mig.mode.current": "Disabled",
}
QUERIES |= {"remapped_rows.pending": "No", "remapped_rows.failure": "No", "retired_pages.pending": "[N/A]"}
LISTING = """\
GPU 00000000:18:00.0
    Product Name                          : NVIDIA H100 80GB HBM3
    Serial Number                         : 1653921031234
    GPU UUID                              : GPU-5f0ab1e2-1c2d-3e4f-8a9b-0c1d2e3f4a5b
"""

if sys.argv[1] == "-q":
    print(LISTING, end="")
elif sys.argv[1].startswith("--query-gpu="):
    names = sys.argv[1].partition("=")[2].split(",")
    values = [QUERIES.get(name, "0") for name in names]
    if "noheader" not in sys.argv[2]:
        print(", ".join(names))
    print(", ".join(values))
elif sys.argv[1].startswith("--help"):
    print("help")
else:
    sys.exit(6)
