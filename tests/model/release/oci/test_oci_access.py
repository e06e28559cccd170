"""A registry that asks who is there: passwords, tokens for what was asked, and storage that must not be told."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from scenario_model.errors import InputError
from scenario_model.release import oci
from scenario_model.release.oci_reference import Reference
from scenario_model.release.oci_registry import Registry
from scenario_model.release.store import FolderStore
from scenario_model.signing import keys
from tests.model.release.oci.world import docker_config, program, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.model.release.conftest import KeyPair

pytestmark = pytest.mark.slow
PASSWORD = "correct horse"
# The password's hash by bcrypt, with the lowest cost that there is.
BCRYPT = "$2a$04$D4gJKjx1XAyQEY.B1KJOPOe4LXn9370rhHtqWnXSaTY2jhUngPGSq"


@pytest.fixture(autouse=True)
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setattr("scenario_model.release.oci_registry.time.sleep", lambda _: None)
    return tmp_path / "docker"


@pytest.fixture
def released(pristine_release: tuple[Path, str], tmp_path: Path) -> tuple[FolderStore, str]:
    store = FolderStore(tmp_path / "store")
    store.upload(pristine_release[1], pristine_release[0])
    return store, pristine_release[1]


def log_in(docker: Path, host: str, user: str = "me", password: str = PASSWORD) -> None:
    coded = base64.b64encode(f"{user}:{password}".encode()).decode()
    docker_config(docker, auths={host: {"auth": coded}})


def push(host: str, released: tuple[FolderStore, str], repository: str = "models/a") -> Reference:
    where = Reference(host, repository)
    with closing(Registry(where, plain_http=True)) as held:
        return oci.push(held, *released, where).reference


def pull(where: Reference, key_pair: KeyPair, to: Path) -> str:
    with closing(Registry(where, plain_http=True)) as held:
        return oci.pull_to_folder(held, where, keys.load_public(key_pair.public), to).release


def test_a_password_is_given_when_it_is_asked_for(
    cache: Path, docker: Path, released: tuple[FolderStore, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    (tmp_path / "htpasswd").write_text(f"me:{BCRYPT}\n")
    auth = {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}}
    with registry(program(cache, "registry"), tmp_path / "registry", auth=auth) as running:
        with pytest.raises(InputError, match=f"{running.host}: denies access; docker login {running.host}"):
            push(running.host, released)
        log_in(docker, running.host, password="wrong")
        with pytest.raises(
            InputError, match="denies access: UNAUTHORIZED authentication required; docker login"
        ) as told:
            push(running.host, released)
        assert "wrong" not in str(told.value)
        log_in(docker, running.host)
        assert pull(push(running.host, released), key_pair, tmp_path / "new") == released[1]


class Issuer:
    """Gives tokens as a registry's issuer does: to anybody for reading, for writing to who has the password."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.asked: list[tuple[str, str]] = []
        self.lifetime = 60.0

    def jwks(self) -> dict[str, Any]:
        numbers = self._key.public_key().public_numbers()
        x, y = (_url64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {
            "keys": [
                {"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig", "x": x, "y": y}
            ]
        }

    def token(self, method: str, query: dict[str, list[str]], authorization: str) -> str | None:
        scope = query.get("scope", [""])[0]
        self.asked.append((f"{method} {scope}", authorization.partition(" ")[0]))
        user = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
        known = authorization == f"Basic {user}" or query.get("refresh_token") == ["identity"]
        kind, name, actions = scope.split(":")
        allowed = [each for each in actions.split(",") if known or each == "pull"]
        if authorization and not known:
            return None
        now = int(time.time())
        claims = {
            "iss": "tests",
            "sub": "me",
            "aud": query["service"][0],
            "jti": secrets.token_hex(8),
            "nbf": now - 5,
            "iat": now - 5,
            "exp": now + int(self.lifetime),
            "access": [{"type": kind, "name": name, "actions": allowed}],
        }
        signed = f"{_json64({'alg': 'ES256', 'typ': 'JWT', 'kid': 'one'})}.{_json64(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _url64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _json64(value: Any) -> str:
    return _url64(json.dumps(value).encode())


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler, str, bytes], bytes | None]) -> Iterator[str]:
    """A web server on loopback; None is 401."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = answer(self, self.path, self.rfile.read(int(self.headers.get("content-length", 0))))
            self.send_response(401 if content is None else 200)
            self.send_header("content-length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def guarded(cache: Path, issuer: Issuer, tmp_path: Path) -> Iterator[str]:
    """A registry that trusts the issuer's tokens."""

    def answer(request: BaseHTTPRequestHandler, path: str, body: bytes) -> bytes | None:
        query = parse_qs(body.decode() or urlsplit(path).query)
        token = issuer.token(request.command, query, request.headers.get("authorization", ""))
        return None if token is None else json.dumps({"token": token}).encode()

    (tmp_path / "jwks.json").write_text(json.dumps(issuer.jwks()))
    with serving(answer) as url:
        auth = {
            "token": {
                "realm": f"{url}/token",
                "service": "registry",
                "issuer": "tests",
                "jwks": str(tmp_path / "jwks.json"),
            }
        }
        with registry(program(cache, "registry"), tmp_path / "registry", auth=auth) as running:
            yield running.host


def test_a_token_is_asked_for_by_scope_and_anonymously_for_reading(
    guarded: str,
    issuer: Issuer,
    docker: Path,
    released: tuple[FolderStore, str],
    key_pair: KeyPair,
    tmp_path: Path,
) -> None:
    log_in(docker, guarded)
    reference = push(guarded, released)
    assert {who for _, who in issuer.asked} == {"Basic"}
    assert len(issuer.asked) <= 3, "a token is kept for as long as it is taken"
    (docker / "config.json").unlink()
    issuer.asked.clear()
    assert pull(reference, key_pair, tmp_path / "new") == released[1]
    assert issuer.asked == [("GET repository:models/a:pull", "")]


def test_who_may_only_read_is_refused_in_one_line(guarded: str, released: tuple[FolderStore, str]) -> None:
    with pytest.raises(InputError, match="denies access: UNAUTHORIZED authentication required; docker login"):
        push(guarded, released)


def test_a_password_that_the_issuer_refuses_is_not_shown(
    guarded: str, docker: Path, released: tuple[FolderStore, str]
) -> None:
    log_in(docker, guarded, password="wrong")
    with pytest.raises(InputError, match=r"127\.0\.0\.1 gives no token \(it answers 401\)") as told:
        push(guarded, released)
    assert "wrong" not in str(told.value)


def test_an_identity_token_is_exchanged(
    guarded: str, issuer: Issuer, docker: Path, released: tuple[FolderStore, str]
) -> None:
    docker_config(docker, auths={guarded: {"identitytoken": "identity"}})
    assert push(guarded, released).digest
    assert {asked.partition(" ")[0] for asked, _ in issuer.asked} == {"POST"}


def test_a_token_that_expires_meanwhile_is_renewed(
    guarded: str, issuer: Issuer, docker: Path, released: tuple[FolderStore, str]
) -> None:
    log_in(docker, guarded)
    where = Reference(guarded, "models/a")
    with closing(Registry(where, plain_http=True)) as held:
        assert oci.push(held, *released, where).changed
        # What another run of the issuer would have signed: the registry takes it no more.
        held._access.headers = {"authorization": "Bearer " + issuer_of_yesterday()}
        assert not oci.push(held, *released, where).changed


def issuer_of_yesterday() -> str:
    issuer = Issuer()
    issuer.lifetime = -86_400
    token = issuer.token("GET", {"scope": ["repository:models/a:pull"], "service": ["registry"]}, "")
    assert token
    return token


def test_storage_that_the_registry_points_at_is_not_told_credentials(
    cache: Path, docker: Path, released: tuple[FolderStore, str], key_pair: KeyPair, tmp_path: Path
) -> None:
    seen: list[tuple[str, str | None]] = []

    def answer(request: BaseHTTPRequestHandler, path: str, _: bytes) -> bytes:
        seen.append((path, request.headers.get("authorization")))
        return (tmp_path / "registry" / "kept" / urlsplit(path).path.lstrip("/")).read_bytes()

    (tmp_path / "htpasswd").write_text(f"me:{BCRYPT}\n")
    with serving(answer) as url:
        settings: dict[str, Any] = {
            "auth": {"htpasswd": {"realm": "tests", "path": str(tmp_path / "htpasswd")}},
            "middleware": {"storage": [{"name": "redirect", "options": {"baseurl": url}}]},
        }
        with registry(program(cache, "registry"), tmp_path / "registry", **settings) as running:
            log_in(docker, running.host)
            assert pull(push(running.host, released), key_pair, tmp_path / "new") == released[1]
    assert len(seen) >= 8
    assert {authorization for _, authorization in seen} == {None}
