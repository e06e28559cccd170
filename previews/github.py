"""GitHub's API, as far as comments and issues need it, and texts that only say something. Standard library only.

Source: docs.github.com/rest.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from previews import PreviewError

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 60_000
"""Characters; GitHub takes 65,536."""
_API = "https://api.github.com"
_SECONDS, _PAGE, _PAGES = 30, 100, 30
_PICTURE = re.compile(r"!\[|<\s*(?:img|picture|video|iframe|object|svg)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of GitHub, `owner/name`."""

    name: str
    token: str = field(repr=False)
    api: str = _API

    @classmethod
    def of_workflow(cls) -> Repository:
        """The one that a workflow runs for. Raises PreviewError if a variable is missing."""
        try:
            name, token = os.environ["GITHUB_REPOSITORY"], os.environ["GITHUB_TOKEN"]
        except KeyError as error:
            raise PreviewError(f"{error} is not set; it is for a workflow") from None
        return cls(name=name, token=token, api=os.environ.get("GITHUB_API_URL", _API))

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        """Call the API. Raises PreviewError, which does not name the token."""
        request = urllib.request.Request(  # noqa: S310 https, or a test's own server
            f"{self.api}/repos/{self.name}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            error.close()
            raise PreviewError(
                f"GitHub answers {error.code} to {method} {path.partition('?')[0]}",
                remedy="the job needs to be allowed to write (`pull-requests` or `issues`)"
                if error.code in (401, 403, 404)
                else "",
            ) from None
        except (OSError, ValueError) as error:
            raise PreviewError(f"GitHub does not answer: {type(error).__name__}") from None

    def pull_request(self, commit: str) -> int | None:
        """The number of the open pull request whose newest commit this is; None if there is none any more."""
        for each in self.ask("GET", f"commits/{commit}/pulls?per_page={_PAGE}"):
            mine = each["base"]["repo"]["full_name"] == self.name
            if mine and each["state"] == "open" and each["head"]["sha"] == commit:
                return int(each["number"])
        return None

    def of_bot(self, path: str, mark: str) -> dict[str, Any] | None:
        """The comment or issue of such a list that begins with a mark; of a bot, for anybody may write the mark."""
        for each in self._pages(path):
            if each["user"]["type"] == "Bot" and str(each["body"]).startswith(mark):
                return dict(each)
        return None

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        sign = "&" if "?" in path else "?"
        for page in range(1, _PAGES + 1):
            found = self.ask("GET", f"{path}{sign}per_page={_PAGE}&page={page}")
            yield from found
            if len(found) < _PAGE:
                break


def harmless(text: str, mark: str) -> str:
    """The text, as one that only says something. Raises PreviewError if it does not begin with its mark."""
    if not text.startswith(mark):
        raise PreviewError("the file is no preview", remedy="see the job that made it")
    said = text.removeprefix(mark).replace("<!--", "&lt;!--")
    said = _PICTURE.sub(lambda found: found[0][0] + "\u200b" + found[0][1:], said)
    said = said.replace("@", "@\u200b")
    return f"{mark}{said}"[:LIMIT]
