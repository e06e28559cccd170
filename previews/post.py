"""`python -m previews.post COMMENT`: put the comment on a commit's pull request, or bring the former one up to date.

Runs the main branch's code with a token; the text comes from a pull request, maybe a fork's, so it is only a text:
nobody is called by it, and it shows no picture from elsewhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bootstrap.console import run, say
from previews import PreviewError
from previews.github import Repository, harmless

MARK = "<!-- model-deployment-scenarios: preview -->"
"""By which a former comment is found."""


def post(repository: Repository, commit: str, text: str) -> str:
    """Put a comment there; return what was done. Raises PreviewError."""
    number = repository.pull_request(commit)
    if number is None:
        return "the commit is no longer the newest of an open pull request: nothing to do"
    body = harmless(text, MARK)
    former = repository.of_bot(f"issues/{number}/comments", MARK)
    if former is None:
        repository.ask("POST", f"issues/{number}/comments", {"body": body})
        return f"commented on #{number}"
    if former["body"] == body:
        return f"#{number} says so already"
    repository.ask("PATCH", f"issues/comments/{former['id']}", {"body": body})
    return f"brought the comment on #{number} up to date"


def main() -> None:
    """Post the file for the commit in HEAD_SHA; GITHUB_REPOSITORY, GITHUB_TOKEN and GITHUB_API_URL as in a workflow."""
    try:
        repository, commit = Repository.of_workflow(), os.environ["HEAD_SHA"]
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
