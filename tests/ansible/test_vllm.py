"""vLLM as the engine: its environment from a lock, the server over it, and back. vLLM is a stand-in here."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import words_of

if TYPE_CHECKING:
    from tests.ansible.conftest import Premises

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "model" / "serve" / "vllm" / "stand_in_vllm.py"
# What the stand-in needs, out of our own lock.
_NEEDED = ("anyio", "click", "h11", "idna", "starlette", "typing-extensions", "uvicorn")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of the stand-in, packed as vLLM is, and what it needs."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = wheels / "vllm-0-py3-none-any.whl"
    files = {
        "vllm/__init__.py": "",
        "vllm/platforms.py": "class current_platform:\n    device_type = 'cpu'\n",
        "vllm/stand_in.py": STAND_IN.read_text(),
        "vllm-0.dist-info/METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0\n",
        "vllm-0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "vllm-0.dist-info/entry_points.txt": "[console_scripts]\nvllm = vllm.stand_in:main\n",
    }
    files["vllm-0.dist-info/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    ours = (ROOT / "requirements" / "model.lock").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", ours, flags=re.MULTILINE)
    chosen = [block for block in blocks if block.partition("==")[0] in _NEEDED]
    assert len(chosen) == len(_NEEDED)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    file = tmp_path / "stand-in.lock"
    file.write_text("".join(chosen) + f"vllm==0 \\\n    --hash=sha256:{digest}\n")
    return file


def with_vllm(premises: Premises, **engine: Any) -> dict[str, Any]:
    return {"serving": {"port": premises.port, "engine": {"kind": "vllm", **engine}}}


def complete(premises: Premises) -> tuple[str, str]:
    """Ask for a completion; returns its text and the release that it is from."""
    tls = premises.root / "inference" / "tls"
    key = (tls / "api_key").read_text().strip()
    body = {"model": "assistant", "prompt": "Once", "max_tokens": 3, "ignore_eos": True}
    request = urllib.request.Request(
        f"https://localhost:{premises.port}/v1/completions",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    trusted = ssl.create_default_context(cafile=tls / "ca.pem")
    with urllib.request.urlopen(request, context=trusted, timeout=30) as response:
        return json.load(response)["choices"][0]["text"], response.headers["x-release"]


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({}, "has 0 NVIDIA GPUs, but serving.engine of kind vllm needs 1; omit kind"),
        ({"tensor_parallel": 4}, "needs 4"),
        ({"device": "cpu"}, "or cpu with serving.engine.requirements, the lock of a CPU build"),
        ({"device": "tpu", "requirements": "/x"}, "value of device must be one of: gpu, cpu, got: tpu"),
        ({"device": "cpu", "requirements": "/no/such.lock"}, "/no/such.lock does not exist"),
    ],
)
def test_a_host_that_cannot_have_vllm_is_refused_before_anything_is_touched(
    premises: Premises, tmp_path: Path, engine: dict[str, Any], says: str
) -> None:
    (tmp_path / "no-gpus" / "sys" / "bus" / "pci" / "devices").mkdir(parents=True)
    ran = premises.run(
        "preflight.yml",
        succeeds=False,
        gpu_driver_root=str(tmp_path / "no-gpus"),
        **with_vllm(premises, **engine),
    )
    assert ran.code == 2
    assert says in " ".join(ran.output.split())
    assert not premises.root.exists()


def test_a_key_of_the_bundled_engine_is_refused_by_name(ready_to_train: Premises, lock: Path) -> None:
    wanted = with_vllm(ready_to_train, device="cpu", requirements=str(lock), prompt_lookup="on")
    ran = ready_to_train.run("preflight.yml", succeeds=False, **wanted)
    assert ran.code == 2
    assert "key 'engine.prompt_lookup' belongs to kind" in " ".join(ran.output.split())


# `make test` serves from the runtime in test_site.py; what is special of vLLM's is in the other tests of this file.
@pytest.mark.soak
def test_vllm_serves_from_an_environment_of_its_own_which_goes_when_it_is_not_wanted(
    ready_to_train: Premises, lock: Path
) -> None:
    premises = ready_to_train
    wanted = with_vllm(premises, device="cpu", requirements=str(lock), max_sequences=2)
    found = {"UV_FIND_LINKS": str(lock.parent / "wheels")}
    premises.variables |= {**wanted, "model_runtime_environment": found}
    premises.run("site.yml")
    text, release = complete(premises)
    assert text == " w0 w1 w2"
    (environment,) = (premises.root / "runtime" / "vllm").iterdir()
    assert re.fullmatch(r"[0-9a-f]{64}", environment.name)
    assert (environment / "complete").read_text() == "cpu\n"
    written = json.loads((premises.root / "inference" / "serve.json").read_text())["engine"]
    assert written.items() >= {"kind": "vllm", "max_sequences": 2, "environment": str(environment)}.items()
    assert premises.run("site.yml").changes() == 0

    lock.write_text(lock.read_text() + "# the same packages, another lock\n")
    assert "Create the environment" in premises.run("upgrade.yml").changed
    (other,) = (premises.root / "runtime" / "vllm").iterdir()
    assert other != environment
    assert complete(premises) == (text, release)

    del premises.variables["serving"]["engine"]
    premises.run(
        "upgrade.yml", serving={"port": premises.port, "engine": {"compile": "off", "weights": "fp32"}}
    )
    assert list((premises.root / "runtime" / "vllm").iterdir()) == []
    assert complete(premises)[1] == release
    assert not [p for p in premises.processes() if "/runtime/vllm/" in " ".join(words_of(p))]
