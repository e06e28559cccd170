"""`python -m previews.post COMMENT`: put the comment on a commit's pull request, or bring the former one up to date.

Runs the main branch's code with a token; the text comes from a pull request, maybe a fork's, so it is only a text:
nobody is called by it, and it shows no picture from elsewhere. Standard library only. Source: docs.github.com/rest.
"""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bootstrap.console import run, say
from previews import PreviewError

MARK = "<!-- model-deployment-scenarios: preview -->"
"""By which a former comment is found."""
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
                remedy="the job needs `pull-requests: write`" if error.code in (401, 403, 404) else "",
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

    def former(self, number: int) -> dict[str, Any] | None:
        """The comment that was put there before; of a bot, for anybody may write the mark."""
        for page in range(1, _PAGES + 1):
            found = self.ask("GET", f"issues/{number}/comments?per_page={_PAGE}&page={page}")
            for each in found:
                if each["user"]["type"] == "Bot" and str(each["body"]).startswith(MARK):
                    return dict(each)
            if len(found) < _PAGE:
                break
        return None


def post(repository: Repository, commit: str, text: str) -> str:
    """Put a comment there; return what was done. Raises PreviewError."""
    number = repository.pull_request(commit)
    if number is None:
        return "the commit is no longer the newest of an open pull request: nothing to do"
    body = harmless(text)
    former = repository.former(number)
    if former is None:
        repository.ask("POST", f"issues/{number}/comments", {"body": body})
        return f"commented on #{number}"
    if former["body"] == body:
        return f"#{number} says so already"
    repository.ask("PATCH", f"issues/comments/{former['id']}", {"body": body})
    return f"brought the comment on #{number} up to date"


def harmless(text: str) -> str:
    """The text, as a comment that only says something. Raises PreviewError if it is no preview."""
    if not text.startswith(MARK):
        raise PreviewError("the file is no preview", remedy="see the job that made it")
    said = text.removeprefix(MARK).replace("<!--", "&lt;!--")
    said = _PICTURE.sub(lambda found: found[0][0] + "\u200b" + found[0][1:], said)
    said = said.replace("@", "@\u200b")
    return f"{MARK}{said}"[:LIMIT]


def main() -> None:
    """Post the file for the commit in HEAD_SHA; GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL as in a workflow."""
    try:
        repository = Repository(
            name=os.environ["GITHUB_REPOSITORY"],
            token=os.environ["GITHUB_TOKEN"],
            api=os.environ.get("GITHUB_API_URL", _API),
        )
        commit = os.environ["HEAD_SHA"]
        text = Path(sys.argv[1]).read_text(encoding="utf-8")
        say(post(repository, commit, text))
    except KeyError as error:
        sys.exit(f"previews.post: {error} is not set; it is for a workflow")
    except (IndexError, OSError, UnicodeDecodeError):
        sys.exit("previews.post: name the file that `make preview` wrote, comment.md")
    except PreviewError as error:
        sys.exit(f"previews.post: {error}")


if __name__ == "__main__":
    run(main)
