"""The GPU check on a machine without a GPU: its pure parts, its failures, and all of it, small."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import __main__ as program
from benchmarks.gpu import cuinit, mfu, peaks
from benchmarks.gpu.budget import Budget
from benchmarks.gpu.context import figure
from benchmarks.gpu.parts import PARTS, Part
from benchmarks.gpu.report import table
from benchmarks.gpu.unit_properties import service_properties

HERE = Path(__file__).parent


def part(name: str, limit_s: float = 20) -> Part:
    """A part out of `gpu_parts.py`, next to this file."""
    return Part(
        name=name, module=f"tests.benchmarks.gpu_parts.{name}", what=name, limits_s=(limit_s, limit_s)
    )


def checked(monkeypatch: pytest.MonkeyPatch, out: Path, *parts: Part, minutes: float = 1) -> dict[str, Any]:
    """Run a check of these parts; returns what `results.json` has."""
    monkeypatch.setattr("benchmarks.gpu.__main__.PARTS", parts)
    program.main(["--device", "cpu", "--out", str(out), "--minutes", str(minutes)])
    results: dict[str, Any] = json.loads((out / "results.json").read_text())
    return results


def test_mfu_counts_weights_and_causal_attention_against_the_peak() -> None:
    # Llama 3.2 1B at 2048 tokens: 1.2358e9 weights, 16 layers, 2048 wide.
    attention = mfu.attention_flops(layers=16, width=2048, length=2048)
    assert attention == 6 * 16 * 2048 * 2048
    per_token = 6 * 1.2358e9 + attention
    assert mfu.mfu(0.45 * 989e12 / per_token, per_token, 989e12) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("name", "matmul", "memory"),
    [
        ("NVIDIA H100 80GB HBM3", 989, 3350),
        ("NVIDIA H200", 989, 4800),
        ("NVIDIA H100 PCIe", 756, 2000),
        ("NVIDIA L4", 121, 300),
    ],
)
def test_peaks_are_the_roles_datasheet_figures(name: str, matmul: float, memory: float) -> None:
    assert peaks.datasheet(name) == peaks.Rates(matmul, memory)


def test_known_rates_are_below_the_datasheet_and_above_the_floor() -> None:
    for name in ("NVIDIA H100 80GB HBM3", "NVIDIA H200"):
        known, sheet = peaks.measured(name), peaks.datasheet(name)
        assert known is not None
        assert sheet is not None
        assert 0.7 * sheet.matmul_tflops < known.matmul_tflops < sheet.matmul_tflops
        assert 0.7 * sheet.memory_gb_s < known.memory_gb_s < sheet.memory_gb_s
    assert peaks.measured("NVIDIA H100 PCIe") is None
    assert peaks.datasheet("NVIDIA X900") is None


def test_a_part_gets_its_own_limit_or_what_is_left_of_the_budget() -> None:
    now = [100.0]
    budget = Budget(60, clock=lambda: now[0])
    assert budget.limit(20) == 20
    now[0] += 50
    assert budget.remaining() == 10
    assert budget.limit(20) == 8  # two seconds stay for the end
    now[0] += 6
    assert budget.limit(20) == 0
    now[0] += 60
    assert budget.remaining() == 0


def test_the_limits_of_the_valuable_parts_fit_into_eight_minutes() -> None:
    assert [each.name for each in PARTS][:4] == ["recordings", "burn-in", "training", "resume"]
    assert sum(each.limit_s("cuda") for each in PARTS[:4]) <= 8 * 60


def test_a_part_that_fails_crashes_or_hangs_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = checked(
        monkeypatch, tmp_path, part("fails"), part("crashes"), part("hangs", limit_s=3), part("works")
    )
    parts = results["parts"]
    assert [each["status"] for each in parts.values()] == ["failed", "failed", "timed out", "done"]
    assert parts["fails"]["reason"] == "ValueError: no such thing"
    assert parts["crashes"]["reason"].startswith("ended by SIGSEGV")
    assert parts["hangs"]["reason"] == "still running after its limit of 3 s"
    assert parts["hangs"]["result"] == {"figures": [figure("half", 1.0)]}  # noted before it hung
    assert parts["works"]["result"]["seen"] == ["fails", "crashes", "hangs"]  # written after each part
    assert results["finished"]
    told = capsys.readouterr()
    assert "| hangs | half | 1 | |" in told.out.replace("  |", " |")
    assert "hangs: running, at most" not in told.err
    assert "s left] works: done after" in told.err
    child = Path("/proc", (tmp_path / "child").read_text(), "stat")  # of the part that hung
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_spent_budget_skips_what_is_left_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = checked(monkeypatch, tmp_path, part("works"), minutes=0.01)
    assert results["parts"]["works"]["status"] == "skipped"
    assert "raise --minutes or use --only" in results["parts"]["works"]["reason"]


def test_wrong_usage_is_one_line_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.arguments(["--minutes", "0"])
    assert ended.value.code == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("invalid --minutes 0: not between 0 and 1440; the default is 8")
    )


def test_the_probe_gets_the_properties_of_the_real_unit() -> None:
    properties = service_properties()
    assert "NoNewPrivileges=yes" in properties
    assert "DeviceAllow=char-nvidia-uvm rw" in properties
    assert "CapabilityBoundingSet=" in properties
    assert not [each for each in properties if each.startswith(("ExecStart", "User", "Restart"))]


def test_ways_that_a_machine_does_not_allow_have_their_reason() -> None:
    by_name = {way.name: way for way in cuinit.WAYS}
    allowed = cuinit.impossible
    assert allowed(by_name["the service's unit"], user=0, first_process="tini") == (
        "process 1 is tini, not systemd"
    )
    assert allowed(by_name["the service's unit"], user=0, first_process="systemd") is None
    assert allowed(by_name["root, nvidia-uvm hidden"], user=1000, first_process="systemd") == "it needs root"
    assert allowed(by_name["user, no new privileges"], user=1000, first_process="systemd") is None


def test_the_probe_fits_into_a_command_line_of_systemd_run() -> None:
    source = (Path(cuinit.__file__).parent / "cuinit_probe.py").read_text()
    assert "$" not in source
    assert "%" not in source


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("unshare"), reason="needs root that may mount")
def test_a_node_can_be_hidden_from_one_process() -> None:
    argv = ["ls", "/dev"]
    hidden = subprocess.run(cuinit.without_node("zero*", argv), capture_output=True, text=True, check=False)
    if "unshare" in hidden.stderr:
        pytest.skip(f"needs root that may mount: {hidden.stderr.strip()}")
    assert hidden.returncode == 0, hidden.stderr
    assert {"null", "urandom"} < {*hidden.stdout.split()}
    assert "zero" not in hidden.stdout.split()
    assert Path("/dev/zero").exists()


def test_the_table_has_a_row_for_each_figure_and_each_failure() -> None:
    met = figure("MFU", "46.0%", aim="at least 45%", met=True)
    parts = {
        "training": {"status": "done", "seconds": 9.0, "reason": None, "result": {"figures": [met]}},
        "nccl": {"status": "failed", "seconds": 1.0, "reason": "no | yes", "result": None},
    }
    assert table({"parts": parts}).splitlines()[2:] == [
        "| training | MFU | 46.0% | at least 45%, met |",
        "| nccl | failed after 1.0 s: no \\| yes | | |",
    ]


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_everything_runs_on_a_cpu(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.gpu",
            "--device",
            "cpu",
            "--minutes",
            "14",
            "--out",
            str(tmp_path),
        ],
        cwd=HERE.parents[1],
        env=os.environ | {"PYTHONPATH": "model"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    results = json.loads((tmp_path / "results.json").read_text())
    assert [*results["parts"]] == [each.name for each in PARTS]
    answers = {name: each["result"] for name, each in results["parts"].items()}
    assert all(each["reason"] is None for each in results["parts"].values())
    trained = answers["training"]["configurations"]
    assert len(trained) == 6
    assert not [each["reason"] for each in trained if "reason" in each]
    full = [each["losses"] for each in trained if each["method"] == "full"]
    assert all(losses == pytest.approx(full[0], abs=2e-3) for losses in full)
    for found in answers["resume"]["runs"].values():
        assert found["weights_that_differ"] == 0
        assert found["same_digest"]
        assert found["same_losses"]
    assert [each["streams"] for each in answers["engine"]["streams"]] == [1, 16, 64]
    assert answers["nccl"]["right"]
    assert "| resume | lora, SIGKILL after step 5 of 8, resumed after step 4 |" in done.stdout
