// Every shader of every row of kernels.def against what its SPIR-V declares: bindings and their
// access, types, push constants, specialisation constants. A row and a shader that disagree would
// otherwise read each other's numbers.
#include "spirv.h"

#include "base/memory.h"
#include "ops/kernels.h"
#include "ops/shaders.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct ts_shader *find_shader(const char *name)
{
    const struct ts_shader *shader = ts_shader_table;
    while (shader->name != NULL && strcmp(shader->name, name) != 0) {
        shader++;
    }
    cr_assert_not_null(shader->name,
                       "kernels.def names %s, but there is no %s.comp in shaders or shaders/cpu",
                       name, name);
    return shader;
}

static spirv_interface read_shader(const char *name)
{
    const struct ts_shader *shader = find_shader(name);
    spirv_interface interface;
    cr_assert(spirv_read(shader->words, shader->bytes / 4, &interface), "%s: not readable", name);
    return interface;
}

// Only a row's first shader must know all buffers and scalars of it, the others all but the last.
static bool is_first(const ts_kernel_info *kernel, const char *shader)
{
    return strcmp(kernel->shaders[0].name, shader) == 0;
}

static void check_bindings(const ts_kernel_info *kernel, const char *shader,
                           const spirv_interface *interface)
{
    uint32_t count = 0;
    cr_expect_not(interface->in_other_sets, "%s: a buffer lies outside set 0", shader);
    for (; kernel->buffers[count].name != NULL; count++) {
        const ts_kernel_buffer *buffer = &kernel->buffers[count];
        const spirv_binding *binding = &interface->bindings[count];
        if (binding->declarations == 0 && !is_first(kernel, shader)) {
            break;
        }
        ts_access access =
            (ts_access)((binding->reads ? TS_READ : 0) | (binding->writes ? TS_WRITE : 0));
        // Weights are read as words, activations as floats or words. A largest element that many
        // workgroups may find is a float's bits, for which there is an atomic maximum. In front of
        // parts of sums there are counters.
        bool bits = buffer->access == TS_READ_WRITE && strncmp(buffer->name, "largest", 7) == 0;
        const bool counted = strcmp(buffer->name, "partials") == 0;
        char scalar = bits                            ? 'u'
                      : counted                       ? 'a'
                      : buffer->type == TS_BUFFER_F32 ? 'f'
                      : buffer->type == TS_BUFFER_ACT ? 'a'
                                                      : 'u';
        cr_expect_gt(binding->declarations, 0, "%s: no binding %u (%s)", shader, count,
                     buffer->name);
        cr_expect_eq(access, buffer->access, "%s: %s is access %d in kernels.def, %d in the shader",
                     shader, buffer->name, buffer->access, access);
        cr_expect_eq(binding->scalar, scalar, "%s: %s holds %c, expected %c", shader, buffer->name,
                     binding->scalar, scalar);
    }
    for (; count < SPIRV_MAX_BINDINGS; count++) {
        cr_expect_eq(interface->bindings[count].declarations, 0, "%s: binding %u is not in its row",
                     shader, count);
    }
}

static void check_scalars(const ts_kernel_info *kernel, const char *shader,
                          const spirv_interface *interface)
{
    uint32_t push = 0, last_constant = 0;
    bool stored = false;
    for (const ts_kernel_field *field = kernel->fields; field->name != NULL; field++) {
        if (field->kind == 'c') {
            last_constant++;
            continue;
        }
        if (push == interface->push_count && !is_first(kernel, shader)) {
            continue;
        }
        cr_expect_lt(push, interface->push_count, "%s: no push constant %s", shader, field->name);
        char kind = field->kind == 'f' ? 'f' : 'u'; // both words of an address are whole numbers
        cr_expect_eq(interface->push[push], kind, "%s: push constant %s is %c, not %c", shader,
                     field->name, interface->push[push], kind);
        push++;
    }
    cr_expect_eq(interface->push_count, push, "%s: %u push constants, its row has %u", shader,
                 interface->push_count, push);
    cr_expect(interface->push_is_packed, "%s: push constants are not 4 bytes apart", shader);
    for (int i = 0; kernel->buffers[i].name != NULL; i++) {
        stored |=
            kernel->buffers[i].type == TS_BUFFER_WEIGHT || kernel->buffers[i].type == TS_BUFFER_ACT;
    }
    cr_expect_eq(interface->constants[0], stored,
                 "%s: constant 0 is how weights and activations are stored, and nothing else",
                 shader);
    for (uint32_t id = last_constant + 1; id < SPIRV_MAX_CONSTANTS; id++) {
        cr_expect_not(interface->constants[id], "%s: constant %u is not in its row", shader, id);
    }
}

Test(reflect, rows_and_shaders_agree)
{
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        for (int s = 0; ts_kernels[k].shaders[s].name != NULL; s++) {
            const char *shader = ts_kernels[k].shaders[s].name;
            spirv_interface interface = read_shader(shader);
            check_bindings(&ts_kernels[k], shader, &interface);
            check_scalars(&ts_kernels[k], shader, &interface);
        }
    }
}

// Whether the number of workgroups follows constant `id`.
static bool shapes_the_grid(ts_kernel kernel, uint32_t id)
{
    ts_dispatch dispatch = {0};
    uint64_t elements[TS_MAX_VIEWS], groups[2], other[2];
    for (size_t i = 0; i < TS_COUNT(dispatch.push); i++) {
        dispatch.push[i] = 1000;
    }
    for (size_t i = 0; i < TS_COUNT(dispatch.pipeline.constants); i++) {
        dispatch.pipeline.constants[i] = 1;
    }
    ts_kernel_sizes(kernel, &dispatch, elements, groups);
    dispatch.pipeline.constants[id] = 2;
    ts_kernel_sizes(kernel, &dispatch, elements, other);
    return groups[0] != other[0] || groups[1] != other[1];
}

// A constant that no shader of its row and no grid uses would be set for nothing.
Test(reflect, every_constant_is_used)
{
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        uint32_t id = 0;
        for (const ts_kernel_field *f = ts_kernels[k].fields; f->name != NULL; f++) {
            if (f->kind != 'c') {
                continue;
            }
            bool used = shapes_the_grid((ts_kernel)k, ++id);
            for (int s = 0; ts_kernels[k].shaders[s].name != NULL && !used; s++) {
                used = read_shader(ts_kernels[k].shaders[s].name).constants[id];
            }
            cr_expect(used, "%s: nothing uses constant %s", ts_kernels[k].name, f->name);
        }
    }
}

// Every shader belongs to a row, except the benchmark's probes.
Test(reflect, every_shader_has_a_row)
{
    for (const struct ts_shader *shader = ts_shader_table; shader->name != NULL; shader++) {
        bool known = strncmp(shader->name, "probe_", 6) == 0;
        for (int k = 0; k < TS_KERNEL_COUNT; k++) {
            for (int s = 0; ts_kernels[k].shaders[s].name != NULL; s++) {
                known |= strcmp(ts_kernels[k].shaders[s].name, shader->name) == 0;
            }
        }
        cr_expect(known, "%s.comp is in no row", shader->name);
    }
}

Test(reflect, the_reader_refuses_what_is_no_spirv)
{
    const struct ts_shader *shader = find_shader("add");
    size_t count = shader->bytes / 4;
    uint32_t words[4096];
    spirv_interface interface;
    cr_assert_leq(count, TS_COUNT(words));
    memcpy(words, shader->words, shader->bytes);
    cr_assert(spirv_read(words, count, &interface));
    cr_assert_eq(interface.push_count, 1);
    cr_assert_eq(interface.push[0], 'u');
    cr_assert_eq(interface.bindings[1].declarations, 2); // as floats and as vectors of four
    cr_assert(interface.bindings[1].reads && !interface.bindings[1].writes);
    cr_assert_not(spirv_read(words, 6, &interface)); // cut in the middle of an instruction
    words[5] = 0;                                    // an instruction of no length
    cr_assert_not(spirv_read(words, count, &interface));
    words[0]++;
    cr_assert_not(spirv_read(words, count, &interface));
}

// A device without optional features runs the first shader of a row, or the kernel `gemm` does its
// work. It lacks what the other shaders of a row need. A shader that is left out cannot be used
// either.
Test(reflect, what_shaders_need_is_missing_on_a_poor_device)
{
    const ts_gpu_caps poor = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, .subgroup_size = 4};
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        const ts_kernel_shader *shaders = ts_kernels[k].shaders;
        for (uint32_t s = 0; shaders[s].name != NULL; s++) {
            ts_gpu_caps without = poor;
            without.left_out[0] = shaders[s].name;
            bool suits = ts_kernel_suits(&poor, (ts_kernel)k, s);
            cr_expect_eq(suits, shaders[s].needs == TS_NEEDS_NOTHING, "%s", shaders[s].name);
            cr_expect(suits || ts_kernel_has_fallback((ts_kernel)k, s), "%s", shaders[s].name);
            cr_expect_not(ts_kernel_suits(&without, (ts_kernel)k, s), "%s", shaders[s].name);
        }
    }
}
