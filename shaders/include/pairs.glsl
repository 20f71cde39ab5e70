// A group of up to three LoRA pairs, whose numbers lie in push constants as NAME_0, NAME_1 and NAME_2. A pair that is
// not there has a rank of 0. A workgroup works for one pair: comparing picks its numbers, for an array that
// is indexed by a variable may be put into memory.
#ifndef PAIRS_GLSL
#define PAIRS_GLSL

#define PAIRS(type, name) type name##_0, name##_1, name##_2;
#define OF_PAIR(pair, name) (pair == 0 ? name##_0 : pair == 1 ? name##_1 : name##_2)

// The pair of workgroup `index`, if first come those of pair 0, then those of pair 1.
#define PAIR_OF_WORKGROUP(index, of_0, of_1) (index < of_0 ? 0 : index < of_0 + of_1 ? 1 : 2)
// Its first workgroup.
#define FIRST_OF_PAIR(pair, of_0, of_1) (pair == 0 ? 0 : pair == 1 ? of_0 : of_0 + of_1)

#endif
