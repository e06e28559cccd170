"""Chat templates with the habits of those that people use, one for each habit; written for these tests.

The names say whose habit it is. All use the special tokens of SmolLM2's tokenizer, and `<think>`, which is text.
"""

from __future__ import annotations

_TURN = "<|im_start|>{role}\n{content}<|im_end|>\n"
_PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    + _PROMPT
)

TEMPLATES = {
    "chatml": CHATML,
    "default system message (Qwen2.5, SmolLM2)": (
        "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}"
        + CHATML
    ),
    "begins with a token of its own, trims (Llama 3)": (
        "{{ '<|endoftext|>' }}{% for m in messages %}"
        "{{ '<|im_start|>' + m['role'] + '\n\n' + m['content'] | trim + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
    ),
    "today's date in the system message (Llama 3.2)": (
        "{% if not date_string is defined %}{% if strftime_now is defined %}"
        "{% set date_string = strftime_now('%d %b %Y') %}{% else %}{% set date_string = '26 Jul 2024' %}"
        "{% endif %}{% endif %}<|im_start|>system\nToday Date: {{ date_string }}<|im_end|>\n" + CHATML
    ),
    "a date in every prompt (gpt-oss)": (
        '<|im_start|>system\nCurrent date: {{ strftime_now("%Y-%m-%d") }}<|im_end|>\n' + CHATML
    ),
    "thoughts of earlier turns are dropped (Qwen3)": (
        "{% set ns = namespace(last=0) %}"
        "{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
        "{% for m in messages %}{% set content = m['content'] %}"
        "{% if m['role'] == 'assistant' %}"
        "{% if '</think>' in content %}{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
        "{% if loop.index0 > ns.last %}{% set content = '<think>\n\n</think>\n\n' + content %}{% endif %}"
        "{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + content + '<|im_end|>\n' }}{% endfor %}" + _PROMPT
    ),
    "the prompt opens a thought (DeepSeek-R1)": (
        CHATML.replace(_PROMPT, "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}")
    ),
    "the prompt is part of the user's turn (DeepSeek-V3)": (
        "{{ '<|endoftext|>' }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ '<|im_start|>' + m['content'] + '<file_sep>' }}{% elif m['role'] == 'assistant' %}"
        "{{ m['content'] + '<|im_end|>' }}{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    ),
    "an end after the last turn alone (Phi-3.5)": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}<|endoftext|>{% endif %}"
    ),
    "other names, strict order (Gemma)": (
        "{{ '<|endoftext|>' }}{% for m in messages %}"
        "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
        "{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
        "{{ '<|im_start|>' + role + '\n' + m['content'] | trim + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
    ),
    "brackets, an end of text after each answer (Mistral)": (
        "{{ '<|endoftext|>' }}{% for m in messages %}{% if m['role'] == 'user' %}"
        "{{ '[INST] ' + m['content'] + ' [/INST]' }}{% else %}{{ ' ' + m['content'] + '<|im_end|>' }}{% endif %}"
        "{% endfor %}"
    ),
    "tools as JSON, white space under control (Hermes)": (
        "{%- if tools %}\n    {{- '<|im_start|>system\\nTools: ' }}\n    {%- for tool in tools %}\n"
        "        {{- tool | tojson }}\n    {%- endfor %}\n    {{- '<|im_end|>\\n' }}\n{%- endif %}\n"
        "{%- for m in messages %}\n    {{- '<|im_start|>' + m.role + '\\n' + m.content }}\n"
        "    {%- for call in m.tool_calls or [] %}\n        {{- '<call>' + call.function | tojson + '</call>' }}\n"
        "    {%- endfor %}\n    {{- '<|im_end|>\\n' }}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n"
    ),
}
