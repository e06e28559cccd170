"""Tokenizes text and conversations, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.tokens.encoding import beginning, encode
from scenario_model.tokens.template import ChatTemplate, TemplateRefusal

if TYPE_CHECKING:
    from collections.abc import Sequence


class PromptEncoder:
    """Tokenizes in its own thread: a long prompt does not delay streams, and the tokenizer has one user."""

    def __init__(self, tokenizer: Any, max_context: int) -> None:
        self._tokenizer, self._max_context = tokenizer, max_context
        self._vocabulary = len(tokenizer)
        self._template = ChatTemplate(tokenizer, _today) if tokenizer.chat_template else None
        self._begins = beginning(tokenizer)
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
        if self._template is None:
            raise bad_request(
                "This model has no chat template; use /v1/completions.", "messages", "no_chat_template"
            )
        try:
            rendered = self._template.render(messages, generation_prompt=True)
        except TemplateRefusal as error:
            # The template's own refusal, such as "roles must alternate".
            raise bad_request(f"'messages' cannot be used: {error.what}.", "messages") from None
        (encoded,) = encode([rendered], self._tokenizer)
        return tuple(encoded.ids)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        bare = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return (*self._begins, *bare)


def _today() -> date:
    return datetime.now(UTC).date()
