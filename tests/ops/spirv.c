#include "spirv.h"

#include <stdlib.h>
#include <string.h>

enum { // opcodes, decorations and storage classes
    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_RUNTIME_ARRAY = 29,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_VARIABLE = 59,
    OP_DECORATE = 71,
    OP_MEMBER_DECORATE = 72,
    SPEC_ID = 1,
    NON_WRITABLE = 24,
    NON_READABLE = 25,
    BINDING = 33,
    DESCRIPTOR_SET = 34,
    OFFSET = 35,
    PUSH_CONSTANT = 9,
    STORAGE_BUFFER = 12,
};

// What is known of one result id.
struct id {
    uint32_t opcode;
    const uint32_t *words; // of the instruction that makes it
    uint32_t length;
    uint32_t binding, set, spec_id;
    bool has_spec_id, non_writable, non_readable; // of a variable
    bool packed;                                  // of a struct: member i at 4 i
    uint32_t non_writable_members, non_readable_members;
};

struct module {
    struct id *ids;
    uint32_t bound;
};

static void decorate(struct id *id, const uint32_t *w, uint32_t length)
{
    uint32_t value = length > 3 ? w[3] : 0;
    switch (w[2]) {
    case SPEC_ID:
        id->spec_id = value;
        id->has_spec_id = true;
        break;
    case NON_WRITABLE:
        id->non_writable = true;
        break;
    case NON_READABLE:
        id->non_readable = true;
        break;
    case BINDING:
        id->binding = value;
        break;
    case DESCRIPTOR_SET:
        id->set = value;
        break;
    default:
        break;
    }
}

static void decorate_member(struct id *id, const uint32_t *w, uint32_t length)
{
    id->non_writable_members += w[3] == NON_WRITABLE;
    id->non_readable_members += w[3] == NON_READABLE;
    if (w[3] == OFFSET && length > 4 && w[4] != 4 * w[2]) {
        id->packed = false;
    }
}

// First pass over the words: what each id is and how it is decorated.
static bool read_ids(struct module *module, const uint32_t *words, size_t count)
{
    for (size_t at = 5; at < count;) {
        const uint32_t *w = words + at;
        uint32_t opcode = w[0] & 0xFFFF, length = w[0] >> 16;
        if (length == 0 || at + length > count) {
            return false;
        }
        bool is_type = opcode >= OP_TYPE_INT && opcode <= OP_TYPE_POINTER;
        uint32_t result = is_type ? w[1] : opcode == OP_VARIABLE ? w[2] : 0;
        bool decorates = opcode == OP_DECORATE || opcode == OP_MEMBER_DECORATE;
        if (result >= module->bound || (decorates && w[1] >= module->bound)) {
            return false;
        }
        if (opcode == OP_DECORATE) {
            decorate(&module->ids[w[1]], w, length);
        } else if (opcode == OP_MEMBER_DECORATE) {
            decorate_member(&module->ids[w[1]], w, length);
        } else if (result != 0) {
            struct id *id = &module->ids[result];
            id->opcode = opcode;
            id->words = w;
            id->length = length;
        }
        at += length;
    }
    return true;
}

// 64-bit words, which read two scalars of a buffer at once.
static const char WIDE = 'w';

// The scalar at the bottom of a type: through arrays, vectors and a struct's first member.
static char scalar_of(const struct module *module, uint32_t type)
{
    for (int depth = 0; depth < 8 && type < module->bound; depth++) {
        const struct id *id = &module->ids[type];
        switch (id->opcode) {
        case OP_TYPE_FLOAT:
            return id->words[2] == 32 ? 'f' : '?';
        case OP_TYPE_INT:
            return id->words[2] == 64 ? WIDE : id->words[2] != 32 ? '?' : id->words[3] ? 'i' : 'u';
        case OP_TYPE_VECTOR:
        case OP_TYPE_ARRAY:
        case OP_TYPE_RUNTIME_ARRAY:
        case OP_TYPE_STRUCT:
            type = id->words[2];
            break;
        default:
            return '?';
        }
    }
    return '?';
}

// What two declarations of one buffer hold together.
static char combined(char one, char other)
{
    const char *words = "uw", *activation = "fuwa"; // floats, or words that hold two in 16 bits
    return one == other                                           ? one
           : strchr(words, one) != NULL && strchr(words, other)   ? 'u'
           : strchr(activation, one) && strchr(activation, other) ? 'a'
                                                                  : '?';
}

static bool add_buffer(const struct module *module, const struct id *variable,
                       const struct id *block, uint32_t block_type, spirv_interface *out)
{
    uint32_t members = block->length - 2;
    char scalar = scalar_of(module, block_type);
    if (variable->binding >= SPIRV_MAX_BINDINGS) {
        return false;
    }
    spirv_binding *binding = &out->bindings[variable->binding];
    binding->writes |= !variable->non_writable && block->non_writable_members < members;
    binding->reads |= !variable->non_readable && block->non_readable_members < members;
    binding->scalar = binding->declarations == 0 ? scalar : combined(binding->scalar, scalar);
    binding->declarations++;
    out->in_other_sets |= variable->set != 0;
    return true;
}

static bool add_push(const struct module *module, const struct id *block, spirv_interface *out)
{
    out->push_count = block->length - 2;
    out->push_is_packed = block->packed;
    if (out->push_count > SPIRV_MAX_PUSH) {
        return false;
    }
    for (uint32_t i = 0; i < out->push_count; i++) {
        out->push[i] = scalar_of(module, block->words[2 + i]);
    }
    return true;
}

// Second pass: the variables that are the shader's interface.
static bool collect(const struct module *module, spirv_interface *out)
{
    bool good = true;
    for (uint32_t i = 0; i < module->bound && good; i++) {
        const struct id *id = &module->ids[i];
        if (id->has_spec_id && id->spec_id < SPIRV_MAX_CONSTANTS) {
            out->constants[id->spec_id] = true;
        }
        if (id->opcode != OP_VARIABLE) {
            continue;
        }
        uint32_t storage = id->words[3], pointer = id->words[1];
        if (storage == PUSH_CONSTANT || storage == STORAGE_BUFFER) {
            uint32_t type = module->ids[pointer].words[3]; // OpTypePointer: id, class, type
            const struct id *block = &module->ids[type];
            good = block->opcode == OP_TYPE_STRUCT &&
                   (storage == PUSH_CONSTANT ? add_push(module, block, out)
                                             : add_buffer(module, id, block, type, out));
        }
    }
    return good;
}

bool spirv_read(const uint32_t *words, size_t count, spirv_interface *out)
{
    *out = (spirv_interface){.push_is_packed = true};
    if (count < 5 || words[0] != 0x07230203 || words[3] > 1 << 20) {
        return false;
    }
    struct module module = {.bound = words[3]};
    module.ids = calloc(module.bound, sizeof *module.ids);
    for (uint32_t i = 0; i < module.bound && module.ids != NULL; i++) {
        module.ids[i].packed = true;
    }
    bool good = module.ids != NULL && read_ids(&module, words, count) && collect(&module, out);
    free(module.ids);
    return good;
}
