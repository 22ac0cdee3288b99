"""Chat templates are rendered as Hugging Face renders them, and cannot do more than that."""

import pytest

from specviz.engines.chat import render_chat
from specviz.engines.errors import PromptError

MESSAGES = [{"role": "user", "content": "Hi"}]


def test_blocks_are_trimmed_and_the_assistant_speaks_next():
    template = """{% for m in messages %}
<{{ m.role }}>{{ m.content }}
    {%- if loop.last %}{% continue %}{% endif %}
{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"""
    assert render_chat(template, MESSAGES) == "<user>Hi<assistant>"


def test_special_tokens_json_and_dates():
    template = "{{ bos_token }}{{ messages | tojson }}{{ strftime_now('%Y') | length }}{{ eos_token }}"
    assert render_chat(template, MESSAGES, bos="<s>", eos="</s>") == '<s>[{"role": "user", "content": "Hi"}]4</s>'


def test_a_template_may_refuse():
    with pytest.raises(PromptError, match="refuses these messages: roles must alternate"):
        render_chat("{{ raise_exception('roles must alternate') }}", MESSAGES)


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.__init__.__globals__ }}",
        "{% for m in messages %}{{ m.update({'role': 'system'}) }}{% endfor %}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
    ],
)
def test_a_hostile_template_gets_nowhere(template):
    with pytest.raises(PromptError, match="chat template failed"):
        render_chat(template, MESSAGES)


@pytest.mark.parametrize(
    "template", ["{% if %}", "{{ 1 / 0 }}", "{{ missing.attribute.deep }}", "{{ range(10**9) | list }}"]
)
def test_a_broken_template_is_an_error_of_the_prompt(template):
    with pytest.raises(PromptError, match="chat template failed"):
        render_chat(template, MESSAGES)
