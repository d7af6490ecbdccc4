// Rounding a head, block by block, so that later elements compensate for each element's rounding error: element i is
// rounded to the level nearest to x_i + sum_{j < i} feedback[i, j] (x_j - rounded x_j). A block's scale (and minimum)
// is the one of 32 candidates with the least squared error, one candidate per invocation. The same steps in the same
// order on the CPU: tests/reference/feedback_rounding.cpp. For kernels that declare turned[] (the head), feedback_k[]
// and feedback_v[], pc.feedback_k_at and pc.feedback_v_at, and include kv/write_cache.glsl. All invocations must call
// it.

shared float passed_on[256];    // errors of the elements rounded so far
shared float wanted_block[32];  // the block with what earlier blocks pass on
shared float feedback_tile[32 * 32];
shared float block_codes[32 * 32];  // [element, candidate]
shared float block_errors[32 * 32];
shared float misses[32];

struct Candidate {
    float scale;
    float minimum;  // of affine formats
    uint scale_word;
    float low;
    float high;
};

// Levels of a candidate: of a symmetric format the largest element lies at 0.7 .. 1.15 of the last level on either side, an affine format's
// codes reach from the lowest element to a little more or less than the highest. Measured with SmolLM2's q4_0 keys, divergence of the
// attention weights: 0.70 .. 1.15: 0.00421; 0.85 .. 1.15: 0.00425; 0.80 .. 1.175: 0.00436.
Candidate candidate_of(uint format, uint trial) {
    Candidate c;
    if (cache_has_minimum(format)) {
        float lowest = wanted_block[0], highest = lowest;
        for (uint i = 1u; i < 32u; ++i) {
            lowest = min(lowest, wanted_block[i]);
            highest = max(highest, wanted_block[i]);
        }
        c.low = 0.0;
        c.high = format == ATLAS_CACHE_Q5_1 ? 31.0 : 15.0;
        precise const float reach = c.high + 0.1 * (float(trial) - 8.0);
        const uint d = scale_bits((highest - lowest) / reach), m = scale_bits(lowest);
        c.scale = scale_of(d);
        c.minimum = scale_of(m);
        c.scale_word = d | m << 16;
        return c;
    }
    float largest = 0.0;
    for (uint i = 0u; i < 32u; ++i) {
        if (abs(wanted_block[i]) > abs(largest)) largest = wanted_block[i];
    }
    c.low = format == ATLAS_CACHE_Q8_0 ? -127.0 : format == ATLAS_CACHE_Q5_0 ? -16.0 : -8.0;
    c.high = format == ATLAS_CACHE_Q8_0 ? 127.0 : format == ATLAS_CACHE_Q5_0 ? 15.0 : 7.0;
    precise const float reach = (trial < 16u ? c.low : c.high) * (0.7 + 0.03 * float(trial % 16u));
    c.scale_word = abs(largest) > 1.0e-14 ? scale_bits(largest / reach) : 0u;
    c.scale = scale_of(c.scale_word);
    c.minimum = 0.0;
    return c;
}

// The candidate's squared error on wanted_block; leaves its codes and the errors to pass on in this lane's columns of
// block_codes and block_errors. Loops, not unrolled: 500 sums in a row take a software device's compiler the better
// part of a minute.
float round_block(Candidate c, uint first, uint lane) {
    const float inverse = inverse_or_zero(c.scale);
    precise float miss = 0.0;
    for (uint i = 0u; i < 32u; ++i) {
        precise float wanted = wanted_block[i];
        for (uint j = 0u; j < i; ++j) {
            precise const float part = feedback_tile[i * 32u + j] * block_errors[j * 32u + lane];
            wanted += part;
        }
        precise const float level = (wanted - c.minimum) * inverse;
        const float code = roundEven(clamp(level, c.low, c.high));
        precise const float value = c.scale * code + c.minimum;
        precise const float left = wanted - value;
        precise const float error = turned[first + i] - value;
        block_codes[i * 32u + lane] = code;
        block_errors[i * 32u + lane] = error;
        miss += left * left;
    }
    return miss;
}

float feedback_of(bool is_k, uint i) { return is_k ? feedback_k[pc.feedback_k_at + i] : feedback_v[pc.feedback_v_at + i]; }

void write_with_feedback(uint format, bool is_k, uint head, uint head_dim, uint row_word, uint blocks) {
    const uint lane = gl_LocalInvocationID.x;
    for (uint first = 0u; first < head_dim; first += 32u) {
        const uint rows_at = (head * head_dim + first) * head_dim;
        for (uint i = lane; i < 1024u; i += gl_WorkGroupSize.x) feedback_tile[i] = feedback_of(is_k, rows_at + i / 32u * head_dim + first + i % 32u);
        for (uint i = lane; i < 32u; i += gl_WorkGroupSize.x) {
            precise float sum = turned[first + i];
            for (uint j = 0u; j < first; ++j) {
                precise const float part = feedback_of(is_k, rows_at + i * head_dim + j) * passed_on[j];
                sum += part;
            }
            wanted_block[i] = sum;
        }
        barrier();
        Candidate mine;
        if (lane < 32u) {
            mine = candidate_of(format, lane);
            misses[lane] = round_block(mine, first, lane);
        }
        barrier();
        uint best = 0u;
        for (uint trial = 1u; trial < 32u; ++trial) {
            if (misses[trial] < misses[best]) best = trial;
        }
        for (uint i = lane; i < 32u; i += gl_WorkGroupSize.x) passed_on[first + i] = block_errors[i * 32u + best];
        if (lane == best) {
            uvec4 whole[8];
            const float zero = format == ATLAS_CACHE_Q8_0 || cache_has_minimum(format) ? 0.0 : -mine.low;
            [[unroll]] for (uint i = 0u; i < 8u; ++i) {
                [[unroll]] for (uint j = 0u; j < 4u; ++j) whole[i][j] = uint(int(block_codes[(4u * i + j) * 32u + lane] + zero));
            }
            const uint block = (head * head_dim + first) / 32u;
            put_scale(format, is_k, row_word, block, blocks, mine.scale_word);
            put_codes(format, is_k, row_word, block, blocks, whole);
        }
        barrier();
    }
}
