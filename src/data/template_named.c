// The templates that can be selected by name. They are written for this program.
#include "data/template_parts.h"

#include <string.h>

// The template of TinyLlama and Zephyr.
static const char zephyr[] = //
    "{% for message in messages %}"
    "{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";

static const char chatml[] = //
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// The space before an answer belongs to the answer: the question ends at "[/INST]".
static const char llama2[] = //
    "{% set system = '' %}{% set turns = messages %}"
    "{% if messages and messages[0].role == 'system' %}"
    "{% set system = '<<SYS>>\\n' + messages[0].content + '\\n<</SYS>>\\n\\n' %}"
    "{% set turns = messages[1:] %}"
    "{% endif %}"
    "{% for message in turns %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('the user and the assistant must alternate') }}"
    "{% endif %}"
    "{% if message.role == 'user' %}"
    "{{ bos_token }}{{ '[INST] ' + ((system if loop.first else '') + message.content) | trim + ' "
    "[/INST]' }}"
    "{% else %}"
    "{{ ' ' + message.content | trim + ' ' + eos_token }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt and (not turns or turns[-1].role != 'user') %}"
    "{{ raise_exception('only a turn of the user can be answered') }}"
    "{% endif %}";

static const char llama3[] = //
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}"
    "{{ message.content | trim + '<|eot_id|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}"
    "{% endif %}";

// For base models, which know no roles: <s>Q\nA</s>
static const char plain[] = //
    "{{ bos_token }}"
    "{% for message in messages %}"
    "{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}"
    "{% elif not loop.last or add_generation_prompt %}{{ '\\n' }}"
    "{% endif %}"
    "{% endfor %}";

const char *ts_chat_template_named(const char *name)
{
    static const struct {
        const char *name, *text;
    } named[] = {{"zephyr", zephyr},
                 {"chatml", chatml},
                 {"llama-2", llama2},
                 {"llama-3", llama3},
                 {"plain", plain}};
    for (size_t i = 0; i < TS_COUNT(named); i++) {
        if (strcmp(named[i].name, name) == 0) {
            return named[i].text;
        }
    }
    return NULL;
}
