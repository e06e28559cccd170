"""A model's chat template: the same conversation gives the same text in training and in serving."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from scenario_model.errors import InputError
from scenario_model.tokens.encoding import Rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

Message = dict[str, Any]
"""role and content, and what else the template reads: tool_calls, name, …"""


# transformers gives templates the clock's date by this name; ours comes first. The line's end is not written.
_DATED = (
    "{%- macro strftime_now(form) -%}"
    "{{ dates[form] if form in dates else raise_exception('unknown form of a date: ' ~ form) }}"
    "{%- endmacro %}\n"
)
_FORM = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1""")


class TemplateRefusal(InputError):  # noqa: N818 - a result, not a fault
    """The template has no form for this conversation, or is itself invalid."""


class ChatTemplate:
    """The chat template of a tokenizer.

    `today` gives the date for templates that write one, so that it is not the clock's in training.
    """

    def __init__(self, tokenizer: Any, today: Callable[[], date]) -> None:
        """Raise TemplateRefusal if the model has no chat template."""
        if not tokenizer.chat_template:
            remedy = "use an instruction-tuned model, or plain text"
            raise TemplateRefusal("this model has no chat template", remedy=remedy)
        self._tokenizer, self._today = tokenizer, today
        special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        # Longest first: of two that start alike, the longer one is what was written.
        special.sort(key=lambda text: (-len(text), text))
        self._special = re.compile("|".join(map(re.escape, special)) or r"(?!)")

    def mentions(self, name: str) -> bool:
        """Whether the template has `name` anywhere: a role or a key that it does not mention, it ignores."""
        return name in str(self._tokenizer.chat_template)

    def render(
        self,
        messages: Sequence[Message],
        *,
        generation_prompt: bool,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> Rendered:
        """Write a conversation, with `generation_prompt` up to where the assistant's answer begins.

        Special tokens in messages and tools stay plain text. Raises TemplateRefusal if the template rejects
        the conversation, or leaves a message out.
        """
        hidden: list[str] = []
        # Digits only: a template may change the case of letters.
        mark = str(secrets.randbelow(9 * 10**23) + 10**23)

        def hide(found: re.Match[str]) -> str:
            hidden.append(found[0])
            return f"{mark}-{len(hidden) - 1};"

        safe = [_in_texts(message, lambda text: self._special.sub(hide, text)) for message in messages]
        safe_tools = tools and _in_texts(list(tools), lambda text: self._special.sub(hide, text))
        text = self._apply(safe, safe_tools or None, generation_prompt=generation_prompt)
        _insist_on_all(safe, text)
        return _revealed(text, re.compile(rf"{mark}-(\d+);"), hidden)

    def _apply(self, messages: list[Message], tools: Any, *, generation_prompt: bool) -> str:
        import jinja2

        try:
            source = self._tokenizer.get_chat_template(tools=tools)
            dates = {form: self._today().strftime(form) for _, form in _FORM.findall(source)}
            return str(
                self._tokenizer.apply_chat_template(
                    messages,
                    tools=tools,
                    chat_template=_DATED + source if "strftime_now" in source else source,
                    tokenize=False,
                    add_generation_prompt=generation_prompt,
                    dates=dates,
                )
            )
        except jinja2.TemplateSyntaxError as error:
            what = f"the model's chat template is invalid: {error}"
            raise TemplateRefusal(what, remedy="download the model again") from None
        except Exception as error:  # noqa: BLE001 - a template is a program: it may fail in any way
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise TemplateRefusal(
                f"the model's chat template rejects it: {reason}",
                remedy="use the roles, in the order, that the template expects",
            ) from None


def _insist_on_all(messages: Sequence[Message], text: str) -> None:
    """Many templates skip a role that they do not know, without a word."""
    for number, message in enumerate(messages, start=1):
        content = message.get("content")
        if message["role"] != "assistant" and isinstance(content, str) and content.strip() not in text:
            raise TemplateRefusal(
                f"the model's chat template leaves out message {number} (role {message['role']})",
                remedy="use the roles, in the order, that the template expects",
            )


def _in_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Change every text in a JSON value, except for its keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _in_texts(each, change) for key, each in value.items()}
    return [_in_texts(each, change) for each in value] if isinstance(value, list) else value


def _revealed(text: str, marks: re.Pattern[str], hidden: Sequence[str]) -> Rendered:
    parts: list[str] = []
    literals: list[tuple[int, int]] = []
    length = 0
    for place, part in enumerate(marks.split(text)):
        shown = hidden[int(part)] if place % 2 else part
        if place % 2:
            literals.append((length, length + len(shown)))
        parts.append(shown)
        length += len(shown)
    return Rendered("".join(parts), tuple(literals))
