"""Tokenizes text and conversations, off the event loop."""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import jinja2

from scenario_model.serve.errors import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence


class PromptEncoder:
    """Tokenizes in its own thread: a long prompt does not delay streams, and the tokenizer has one user."""

    def __init__(self, tokenizer: Any, max_context: int) -> None:
        self._tokenizer, self._max_context = tokenizer, max_context
        self._vocabulary = len(tokenizer)
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    async def chat(self, messages: Sequence[dict[str, str]]) -> tuple[int, ...]:
        """Render a conversation with the model's own template, ready for the assistant's turn."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._render, list(messages))

    async def completion(self, prompt: str | tuple[int, ...]) -> tuple[int, ...]:
        """Tokenize a text; check token ids. Raises ApiError 400 for an unknown id."""
        if isinstance(prompt, str):
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._tokenize, prompt)
        for token in prompt:
            if not 0 <= token < self._vocabulary:
                raise bad_request(
                    f"'prompt' holds the token id {token}; ids go from 0 to {self._vocabulary - 1}.", "prompt"
                )
        return prompt

    def room(self, prompt: Sequence[int], max_tokens: int | None, parameter: str) -> int:
        """Maximum tokens of the answer. Raises ApiError 400, with the numbers, if they do not fit."""
        left = self._max_context - len(prompt)
        wanted = 1 if max_tokens is None else max_tokens
        if not prompt:
            raise bad_request(f"'{parameter}' has no tokens.", parameter)
        if wanted > left:
            raise ApiError(
                400,
                f"This model's maximum context length is {self._max_context} tokens. However, you requested "
                f"{len(prompt) + wanted} tokens ({len(prompt)} in '{parameter}', {wanted} for the answer).",
                code="context_length_exceeded",
                param=parameter,
            )
        return left if max_tokens is None else max_tokens

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _render(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
        """Tokenize a conversation. A special token written in a message is plain text: it does not end a turn."""
        hidden: list[str] = []
        mark = secrets.token_hex(16)

        def hide(found: re.Match[str]) -> str:
            hidden.append(found[0])
            return f"{mark}{len(hidden) - 1};"

        safe = [{name: self._special.sub(hide, text) for name, text in each.items()} for each in messages]
        text = self._apply_template(safe)
        pieces = re.split(rf"{mark}(\d+);", text) if hidden else [text]
        ids: list[int] = []
        for position, piece in enumerate(pieces):
            was_hidden = position % 2 == 1
            # The template writes the special tokens itself, so none is added.
            ids += self._tokenizer(
                hidden[int(piece)] if was_hidden else piece,
                add_special_tokens=False,
                split_special_tokens=was_hidden,
            )["input_ids"]
        return tuple(ids)

    def _apply_template(self, messages: list[dict[str, str]]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        except jinja2.TemplateError as error:
            # The template's own refusal, such as "roles must alternate".
            raise bad_request(f"The model's chat template rejects 'messages': {error}", "messages") from None
        except ValueError:
            raise bad_request(
                "This model has no chat template; use /v1/completions.", "messages", "no_chat_template"
            ) from None

    def _tokenize(self, prompt: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(prompt)["input_ids"])
