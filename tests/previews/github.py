"""A stand-in for GitHub's API: what it knows of pull requests, comments and issues."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from previews.github import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY, COMMIT, TOKEN = "plant/stacks", "c" * 40, "a-token"
BOT, PERSON = {"type": "Bot"}, {"type": "User"}


class GitHub:
    """What the API knows: pull requests of commits, and comments."""

    def __init__(self) -> None:
        self.pulls: list[dict[str, Any]] = [pull(7)]
        self.comments: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.status = 200
        self.calls: list[str] = []

    def answer(self, method: str, path: str, content: Any) -> Any:
        self.calls.append(f"{method} {path.partition('?')[0]}")
        if f"/commits/{COMMIT}/pulls" in path:
            return self.pulls
        if path.startswith(f"/repos/{REPOSITORY}/issues?"):
            return [each for each in self.issues if each["state"] == "open"]
        if method == "POST" and path.endswith("/issues"):
            self.issues.append({"number": len(self.issues) + 1, "user": BOT, "state": "open", **content})
            return self.issues[-1]
        if method == "PATCH" and "/issues/comments/" not in path:
            self.issues[int(path.rpartition("/")[2]) - 1] |= content
        elif method == "POST":
            self.comments.append({"id": len(self.comments) + 1, "user": BOT, "body": content["body"]})
        elif method == "PATCH":
            (mine,) = [each for each in self.comments if path.endswith(f"/issues/comments/{each['id']}")]
            mine["body"] = content["body"]
        else:
            page = int(path.rpartition("page=")[2])
            return self.comments[100 * (page - 1) : 100 * page]
        return {}


def pull(number: int, **changes: Any) -> dict[str, Any]:
    base = {"repo": {"full_name": REPOSITORY}}
    return {"number": number, "state": "open", "base": base, "head": {"sha": COMMIT}, **changes}


@contextmanager
def served(github: GitHub) -> Iterator[Repository]:
    """The API at loopback, as workflows call it."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            content = json.loads(self.rfile.read(size)) if size else None
            assert self.headers["authorization"] in (f"Bearer {TOKEN}", f"token {TOKEN}"), (
                "as GitHub takes it"
            )
            told = json.dumps(github.answer(self.command, self.path, content)).encode()
            self.send_response(github.status)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST = do_PATCH = _do  # noqa: N815 named by the library

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Repository(name=REPOSITORY, token=TOKEN, api=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
