// A vector of DIM floats that one invocation holds or, with SPLIT (8) defined, SPLIT neighbours, each
// every SPLIT-th vec4 of it: then a row's registers are shared out, and a workgroup is LANES rows of
// SPLIT invocations. Declares the workgroup's size; DIM must be declared after it.
#ifdef SPLIT
layout(local_size_x = SPLIT, local_size_y_id = 2) in;
#define LANES gl_WorkGroupSize.y
#define LANE gl_LocalInvocationID.y
#define QUADS (DIM / 4 / SPLIT)
#define PART(d) ((d) * SPLIT + gl_LocalInvocationID.x) // where a held vec4 lies in the whole
#else
layout(local_size_x_id = 2) in;
#define LANES gl_WorkGroupSize.x
#define LANE gl_LocalInvocationID.x
#define QUADS (DIM / 4)
#define PART(d) (d)
#endif

// The sum of x over those who hold a vector together, the same bits for each. Written out, for a loop
// of doubling steps some compilers leave a loop; the neighbours 1, 3, 7 away (counted by xor) are the
// ones that AMD's adder reaches by itself.
float split_sum(float x)
{
#ifdef SPLIT
    x += subgroupShuffleXor(x, 1);
    x += subgroupShuffleXor(x, 3);
    x += subgroupShuffleXor(x, 7);
#endif
    return x;
}
