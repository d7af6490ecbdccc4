// Calls of a macro for each matrix of an array whose length is a specialization constant, at most 32, with numbers that are known when the
// pipeline is compiled. A loop would do the same where compilers unroll it; but around a loop they do not, and an array that is indexed at run
// time, though only once in the end, lives in memory and not in registers from its first use on (seen in NAK: 16 loads for 32 products).
#ifndef ATLAS_EACH_MATRIX_GLSL
#define ATLAS_EACH_MATRIX_GLSL
const uint kMostMatrices = 32;
#define FOUR_MATRICES(DO, i) DO(i) DO(i + 1) DO(i + 2) DO(i + 3)
#define EACH_MATRIX(DO)                                                                          \
    FOUR_MATRICES(DO, 0) FOUR_MATRICES(DO, 4) FOUR_MATRICES(DO, 8) FOUR_MATRICES(DO, 12)         \
    FOUR_MATRICES(DO, 16) FOUR_MATRICES(DO, 20) FOUR_MATRICES(DO, 24) FOUR_MATRICES(DO, 28)
#endif
