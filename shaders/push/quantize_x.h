// Activations in 8 bits, "q8" (XKind::q8): per 32 consecutive elements of a token's row ("a run") signed bytes and a scale,
// x[e] ~ scale * code[e], scale = max|x| / 127, code = x * (127 / max|x|) rounded to nearest, ties to even; all zero where max|x| < 2^-100.
// The buffer has two planes of 32-bit words, runs counted over all tokens, run = token * (n_in / 32) + i / 32:
//   codes   from word 0: 8 words per run, four codes to a word, lowest byte first
//   scales  from word n_tokens * n_in / 4: 2 words per run: the scale (f32 bits); the sum of the codes of the run's first 16 elements
//           (low 16 bits, signed) and of its last 16 (high 16 bits), for weights with an addend
// The products that read it use MatmulPush with x_at = the run where the scales start if they are counted in 2-word steps,
// x_stride = runs per token.
#ifndef ATLAS_PUSH_QUANTIZE_X_H
#define ATLAS_PUSH_QUANTIZE_X_H
#include "shaders/push/push.h"

ATLAS_PUSH_BEGIN(QuantizeXPush)
    uint n_in;  // a multiple of 32
    uint n_tokens;
    uint x_at;
    uint x_stride;
ATLAS_PUSH_END(QuantizeXPush)

#endif
