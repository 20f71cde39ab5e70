// A product that is a sum of up to three, its terms: C = A0 B0 + A1 B1 + A2 B2, such as the gradient of
// what q_proj, k_proj and v_proj read. k runs through all of them, so the sums stay in registers from one
// term to the next. What a term has of its own is pushed with the product's scalars (TERMS_SCALARS):
//
//        k = 0          term_1      term_2       k
//        +--------------+-----------+------------+     A_1 begins at element a_1 of A's buffer, B_1 at
//        |    A0 B0     |   A1 B1   |   A2 B2    |     b_1 of B's, and so on; A_i is dense, as wide as
//        +--------------+-----------+------------+     its term is long
//
// The layout is NN. A step along k never reaches from one term into the next. Each term may have an extra
// pair, of extra_k, extra_k_1 and extra_k_2 columns (0: none).
#ifndef TERMS_GLSL
#define TERMS_GLSL

#define TERMS_SCALARS                                                                              \
    uint term_1, term_2, a_1, a_2, b_1, b_2;                                                       \
    uint extra_k_1, extra_k_2, extra_a_1, extra_a_2, extra_b_1, extra_b_2;

// Element (row, k) of A is a + row * lda + k, element (k, column) of B b + k * ldb + column, with k counted
// through all terms (a and b may so be below zero, and wrap).
struct Term {
    uint a, b, lda;
};

// Of the step that begins at k = `at`.
#define TERM_AT(at)                                                                               \
    (ADDED < 1 || (at) < push.term_1 ? Term(0, 0, push.lda)                                         \
     : ADDED < 2 || (at) < push.term_2                                                             \
         ? Term(push.a_1 - push.term_1, push.b_1 - push.term_1 * push.ldb,                         \
                push.term_2 - push.term_1)                                                         \
         : Term(push.a_2 - push.term_2, push.b_2 - push.term_2 * push.ldb,                         \
                push.k - push.term_2))

// Whether a second or third term begins with that step.
#define BEGINS_TERM(at)                                                                            \
    (ADDED > 0 && ((at) == push.term_1 || (ADDED > 1 && (at) == push.term_2)))

// A term's extra pair: where its operands begin, and how many columns it has.
struct ExtraPair {
    uint a, b, k;
};

#define EXTRA_PAIR_OF(term)                                                                        \
    ((term) == 0 ? ExtraPair(0, 0, push.extra_k)                                                   \
     : (term) == 1 ? ExtraPair(push.extra_a_1, push.extra_b_1, push.extra_k_1)                     \
                   : ExtraPair(push.extra_a_2, push.extra_b_2, push.extra_k_2))

#endif
