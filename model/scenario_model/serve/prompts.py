"""Tokenizes text and conversations, off the event loop."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from scenario_model.serve.errors import ApiError, bad_request
from scenario_model.serve.prompt_bounds import TooLong, bound
from scenario_model.serve.prompt_queue import PromptQueue
from scenario_model.tokens.encoding import beginning, encode
from scenario_model.tokens.template import ChatTemplate, TemplateRefusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_QUEUE = 64


def _nobody(seconds: float) -> None:
    pass


class PromptEncoder:
    """Tokenizes in its own thread what may fit the context.

    `spent` receives the processor seconds that a prompt took, also if it was refused. The queue before the
    thread is bounded: QueueFull.
    """

    def __init__(self, tokenizer: Any, max_context: int, queue: int = _QUEUE) -> None:
        self._tokenizer, self._max_context = tokenizer, max_context
        self._vocabulary = len(tokenizer)
        self._template = ChatTemplate(tokenizer, _today) if tokenizer.chat_template else None
        self._begins = beginning(tokenizer)
        self._bound = bound(tokenizer, max_context)
        self._queue = PromptQueue(queue)

    async def chat(
        self, messages: Sequence[dict[str, str]], spent: Callable[[float], None] = _nobody
    ) -> tuple[int, ...]:
        """Render a conversation with the model's own template, ready for the assistant's turn.

        Raises QueueFull; ApiError 400 if it cannot fit the context.
        """
        try:
            # A message has at least one token.
            self._bound.check(b"", len(messages))
            return await self._queue.run(partial(self._render, list(messages)), spent)
        except TooLong as error:
            raise self._too_long(error, "messages") from None

    async def completion(
        self, prompt: str | tuple[int, ...], spent: Callable[[float], None] = _nobody
    ) -> tuple[int, ...]:
        """Tokenize a text; check token ids. Raises QueueFull; ApiError 400 for an unknown id, or too many."""
        try:
            if isinstance(prompt, str):
                self._bound.check(prompt.encode())
                return await self._queue.run(partial(self._tokenize, prompt), spent)
            self._bound.check(b"", len(prompt))
        except TooLong as error:
            raise self._too_long(error, "prompt") from None
        for token in prompt:
            if not 0 <= token < self._vocabulary:
                raise bad_request(
                    f"'prompt' holds the token id {token}; ids go from 0 to {self._vocabulary - 1}.", "prompt"
                )
        return prompt

    def room(self, prompt: Sequence[int], max_tokens: int | None, parameter: str) -> int:
        """Maximum tokens of the answer: `max_tokens` is a ceiling, and the context another.

        Raises ApiError 400, with the numbers, if the prompt leaves no room for any.
        """
        left = self._max_context - len(prompt)
        if not prompt:
            raise bad_request(f"'{parameter}' has no tokens.", parameter)
        if left < 1:
            raise ApiError(
                400,
                f"This model's maximum context length is {self._max_context} tokens. However, '{parameter}' has "
                f"{len(prompt)} tokens, which leaves none for the answer.",
                code="context_length_exceeded",
                param=parameter,
            )
        return left if max_tokens is None else min(left, max_tokens)

    def close(self) -> None:
        """End the thread."""
        self._queue.close()

    def _too_long(self, error: TooLong, parameter: str) -> ApiError:
        return ApiError(
            400,
            f"This model's maximum context length is {self._bound.context} tokens. However, '{parameter}' has at "
            f"least {error.at_least} tokens.",
            code="context_length_exceeded",
            param=parameter,
        )

    def _render(self, messages: list[dict[str, str]]) -> tuple[int, ...]:
        """Tokenize a conversation. A special token written in a message is plain text: it does not end a turn.

        Raises TooLong. A text that spells special tokens a hundred thousand times costs no more than others.
        """
        if self._template is None:
            raise bad_request(
                "This model has no chat template; use /v1/completions.", "messages", "no_chat_template"
            )
        try:
            rendered = self._template.render(messages, generation_prompt=True)
        except TemplateRefusal as error:
            # The template's own refusal, such as "roles must alternate".
            raise bad_request(f"'messages' cannot be used: {error.what}.", "messages") from None
        self._bound.check(b"", len(rendered.literals))
        plain = "".join(piece for _, piece, literal in rendered.pieces() if not literal)
        self._bound.check(plain.encode(), len(rendered.literals))
        (encoded,) = encode([rendered], self._tokenizer)
        return tuple(encoded.ids)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        bare = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return (*self._begins, *bare)


def _today() -> date:
    return datetime.now(UTC).date()
