// A vector of DIM floats that one invocation holds or, with SPLIT defined, SPLIT_LANES invocations of
// a subgroup together, each every SPLIT_LANES-th vec4 of it. Then a row's registers are divided among
// them, and a workgroup is LANES rows of SPLIT_LANES invocations. Where DIM is no multiple of 4 *
// SPLIT_LANES, the last vec4s of some invocations lie beyond the vector. HOLDS tells; these must be
// zero in one factor of a product, and are not stored. Their PART is the vector's last, so that it
// may be read. Declares the workgroup's size; DIM must be declared after it.
//
// With HELD, an invocation keeps its rows' inputs in registers. Where they have no room beside the sums,
// it reads them again at each step of its loop. AGAIN(step) is 0 in a way that compilers do not see
// through: added to an index, it keeps them from holding in registers what was read before.
#ifdef SPLIT
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
layout(local_size_x_id = 6) in;
layout(constant_id = 7) const uint HELD = 1;
#define AGAIN(step) (HELD != 0 ? 0 : (step) >> 31) // steps are rows, fewer than 2^31
#ifdef SPLIT
layout(constant_id = 4) const uint SPLIT_LANES = 8; // a power of two, 8 to 32
layout(constant_id = 5) const uint SUBGROUP_SIZE = 8; // all subgroups are full and have this size
// By the place in the subgroup: Vulkan does not promise that neighbours of the local index share one.
#define PLACE (gl_SubgroupID * SUBGROUP_SIZE + gl_SubgroupInvocationID)
#define LANES (gl_WorkGroupSize.x / SPLIT_LANES)
#define LANE (PLACE / SPLIT_LANES)
#define QUADS ((DIM / 4 + SPLIT_LANES - 1) / SPLIT_LANES)
#define PLACE_OF(d) ((d) * SPLIT_LANES + gl_SubgroupInvocationID % SPLIT_LANES)
#define IS_WHOLE(d) (((d) + 1) * SPLIT_LANES <= DIM / 4)
#define PART(d) (IS_WHOLE(d) ? PLACE_OF(d) : min(PLACE_OF(d), DIM / 4 - 1))
#define HOLDS(d) (IS_WHOLE(d) || PLACE_OF(d) < DIM / 4)
#define IS_FIRST (gl_SubgroupInvocationID % SPLIT_LANES == 0)
#else
#define LANES gl_WorkGroupSize.x
#define LANE gl_LocalInvocationID.x
#define QUADS (DIM / 4)
#define PART(d) (d)
#define HOLDS(d) true
#define IS_FIRST true
#endif

// The sum of x over the invocations that hold a vector together, the same bits for each. The steps
// are written out because some compilers do not unroll a loop of doubling steps. The distances 1, 3,
// 7, 15 (counted by xor) are the ones that AMD's adder reaches by itself.
float split_sum(float x)
{
#ifdef SPLIT
    x += subgroupShuffleXor(x, 1);
    x += subgroupShuffleXor(x, 3);
    x += subgroupShuffleXor(x, 7);
    if (SPLIT_LANES > 8) {
        x += subgroupShuffleXor(x, 15);
    }
    if (SPLIT_LANES > 16) {
        x += subgroupShuffleXor(x, 31);
    }
#endif
    return x;
}
