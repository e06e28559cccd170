"""Writes a conversation as documents: after exactly what serving puts before an answer comes the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from scenario_model.data.documents import Document
from scenario_model.digests import json_digest
from scenario_model.tokens.encoding import Encoded, Rendered, encode
from scenario_model.tokens.template import ChatTemplate, Message, TemplateRefusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scenario_model.data.conversations import Conversation

# What a tool answered is content; many templates do not say which call it belongs to.
_OF_TOOLS = {"name", "tool_call_id"}


@dataclass(frozen=True, slots=True)
class Written:
    """A conversation in one document, None if later turns change earlier ones; and each of its turns alone.

    `prompts`: what serving puts before each turn's answer.
    """

    whole: Document | None
    alone: list[Document]
    prompts: list[Rendered]


def write(chat: Conversation, template: ChatTemplate) -> Written:
    """Apply the template. The spans are the assistant's turns, each with its end-of-turn token.

    Raises TemplateRefusal for a conversation that the template does not take, or takes in part.
    """
    messages = _as_the_template_takes_them(chat, template)
    tools = list(chat.tools) or None
    whole = template.render(messages, generation_prompt=False, tools=tools)
    _insist_on_tools(chat, messages, template, whole)
    alone, prompts, spans = [], [], []
    keeps_all = True
    for index, message in enumerate(messages):
        if message["role"] == "assistant" and index not in chat.unlearnt:
            prompt = template.render(messages[:index], generation_prompt=True, tools=tools)
            turn = template.render(messages[: index + 1], generation_prompt=False, tools=tools)
            keeps_all &= turn.text.startswith(prompt.text) and whole.text.startswith(turn.text)
            alone.append(_alone(_id(chat, messages[: index + 1]), prompt, turn, message))
            prompts.append(prompt)
            spans.append((len(prompt.text), len(turn.text)))
    document = Document(_id(chat, messages), whole.text, tuple(spans), whole.literals)
    return Written(document if keeps_all else None, alone, prompts)


def as_served(written: Sequence[Written], tokenizer: Any) -> list[list[Document]]:
    """Return each conversation's documents: one, if the tokens before each answer are those of serving.

    Else one per answer, with its tokens cut where the prompt ends, if need be: the tokens of a prompt and an
    answer are not always those of both in one (two line breaks before a word, say).
    """
    made = []
    for start in range(0, len(written), _AT_ONCE):
        part = written[start : start + _AT_ONCE]
        texts = [[*each.prompts, *(d.rendered for d in (each.whole, *each.alone) if d)] for each in part]
        encoded = iter(encode([*chain(*texts)], tokenizer))
        made += [_chosen(each, [next(encoded) for _ in its]) for each, its in zip(part, texts, strict=True)]
    return made


_AT_ONCE = 1000  # conversations whose tokens are in memory


def _chosen(each: Written, encoded: Sequence[Encoded]) -> list[Document]:
    count = len(each.prompts)
    prompts, others = encoded[:count], encoded[count:]
    if each.whole is not None:
        if all(_begins(others[0], prompt) for prompt in prompts):
            return [each.whole]
        others = others[1:]
    return [
        document if _begins(tokens, prompt) else replace(document, cut=len(text.text))
        for document, tokens, prompt, text in zip(each.alone, others, prompts, each.prompts, strict=True)
    ]


def _begins(tokens: Encoded, prompt: Encoded) -> bool:
    return tokens.ids[: len(prompt.ids)] == prompt.ids


def _alone(name: str, prompt: Rendered, turn: Rendered, message: Message) -> Document:
    """One turn after its prompt, even where the template writes a past turn otherwise than it asks for one."""
    start = len(prompt.text)
    if turn.text.startswith(prompt.text):
        return Document(name, turn.text, ((start, len(turn.text)),), turn.literals)
    at = turn.text.rfind(message["content"].strip())
    if not message["content"] or at < 0:
        raise TemplateRefusal(
            "the model's chat template writes an assistant's turn otherwise than it asks for one",
            remedy="remove reasoning and tool calls from the conversation, or use another model",
        )
    answer = turn.text[at:]
    literals = [*prompt.literals, *((a - at + start, b - at + start) for a, b in turn.literals if a >= at)]
    return Document(name, prompt.text + answer, ((start, start + len(answer)),), tuple(literals))


def _as_the_template_takes_them(chat: Conversation, template: ChatTemplate) -> list[Message]:
    """OpenAI's developer is the system to templates that do not know it; a key that is ignored is refused."""
    renamed = {} if template.mentions("developer") else {"developer": "system"}
    messages = [{**each, "role": renamed.get(each["role"], each["role"])} for each in chat.messages]
    for number, message in enumerate(messages, start=1):
        extra = set(message) - {"role", "content"}
        for key in sorted(extra - _OF_TOOLS if message["role"] == "tool" else extra):
            less = {name: value for name, value in message.items() if name != key}
            texts = [
                template.render([*messages[: number - 1], each], generation_prompt=False).text
                for each in (message, less)
            ]
            if texts[0] == texts[1]:
                raise TemplateRefusal(
                    f"message {number} has the key {key!r}, which the model's chat template ignores",
                    remedy="remove it, or use a model that reads it",
                )
    return messages


def _insist_on_tools(
    chat: Conversation, messages: list[Message], template: ChatTemplate, whole: Rendered
) -> None:
    if chat.tools and template.render(messages, generation_prompt=False).text == whole.text:
        remedy = "remove them, or use a model whose template reads them"
        raise TemplateRefusal("the model's chat template ignores 'tools'", remedy=remedy)


def _id(chat: Conversation, messages: Sequence[Message]) -> str:
    return json_digest([list(messages), list(chat.tools)] if chat.tools else list(messages))
