#include "tests/reference/feedback_rounding.h"

#include <cmath>
#include <cstring>

#include "quant/fit.h"
#include "runtime/base/check.h"

namespace atlas::test {

namespace {

struct Rounded {
    float miss = 0;
    uint16_t scale = 0, minimum = 0;
    float codes[32] = {};
    float errors[32] = {};
};

bool has_minimum(Format format) { return format == Format::q5_1 || format == Format::q4_1; }

float finite_half(float x, uint16_t& bits) {
    bits = half_scale(x);
    return half_to_float(bits);
}

// wanted: the block plus what earlier blocks pass on; rows: its 32 rows of the feedback matrix, from its own first
// column on.
Rounded round_block(Format format, int trial, const float* own, const float* wanted, const float* rows,
                    size_t row_stride) {
    Rounded r;
    float low = 0, high = 0, scale = 0, minimum = 0;
    if (has_minimum(format)) {
        high = format == Format::q5_1 ? 31 : 15;
        float lowest = wanted[0], highest = wanted[0];
        for (int i = 0; i < 32; ++i) {
            lowest = std::min(lowest, wanted[i]);
            highest = std::max(highest, wanted[i]);
        }
        const float reach = high + 0.1f * (float(trial) - 8.0f);
        scale = finite_half((highest - lowest) / reach, r.scale);
        minimum = finite_half(lowest, r.minimum);
    } else {
        low = format == Format::q8_0 ? -127 : format == Format::q5_0 ? -16 : -8;
        high = format == Format::q8_0 ? 127 : format == Format::q5_0 ? 15 : 7;
        float largest = 0;
        for (int i = 0; i < 32; ++i) {
            if (std::abs(wanted[i]) > std::abs(largest)) largest = wanted[i];
        }
        const float reach = (trial < 16 ? low : high) * (0.7f + 0.03f * float(trial % 16));
        scale = std::abs(largest) > 1e-14f ? finite_half(largest / reach, r.scale) : 0;
    }
    const float inverse = scale != 0 ? 1 / scale : 0;
    for (int i = 0; i < 32; ++i) {
        float target = wanted[i];
        for (int j = 0; j < i; ++j) target += rows[size_t(i) * row_stride + size_t(j)] * r.errors[j];
        const float level = (target - minimum) * inverse;
        const float code = std::nearbyint(std::min(std::max(level, low), high));
        const float value = scale * code + minimum;
        r.codes[i] = code;
        r.errors[i] = own[i] - value;
        r.miss += (target - value) * (target - value);
    }
    return r;
}

// As files hold a block: scale, minimum, fifth bits, codes.
void append_block(Format format, const Rounded& r, std::vector<std::byte>& out) {
    const auto put = [&](const void* from, size_t n) {
        const auto* bytes = static_cast<const std::byte*>(from);
        out.insert(out.end(), bytes, bytes + n);
    };
    put(&r.scale, 2);
    if (has_minimum(format)) put(&r.minimum, 2);
    uint8_t codes[32] = {};
    uint32_t fifth_bits = 0;
    for (int i = 0; i < 32; ++i) {
        const int zero = format == Format::q5_0 ? 16 : format == Format::q4_0 ? 8 : 0;
        const int code = int(r.codes[i]) + zero;
        if (format == Format::q8_0) {
            codes[i] = uint8_t(code);
            continue;
        }
        codes[i % 16] = uint8_t(codes[i % 16] | (code & 15) << (i < 16 ? 0 : 4));
        fifth_bits |= uint32_t(code >> 4 & 1) << i;
    }
    if (format == Format::q5_0 || format == Format::q5_1) put(&fifth_bits, 4);
    put(codes, format == Format::q8_0 ? 32 : 16);
}

}  // namespace

std::vector<std::byte> round_with_feedback(Format format, std::span<const float> head,
                                           std::span<const float> feedback) {
    const size_t dim = head.size();
    ATLAS_CHECK(dim % 32 == 0 && feedback.size() == dim * dim, "a head of {} and {} numbers", dim, feedback.size());
    std::vector<std::byte> out;
    std::vector<float> errors;
    for (size_t first = 0; first < dim; first += 32) {
        const float* rows = &feedback[first * dim];
        float wanted[32];
        for (size_t i = 0; i < 32; ++i) {
            wanted[i] = head[first + i];
            for (size_t j = 0; j < first; ++j) wanted[i] += rows[i * dim + j] * errors[j];
        }
        Rounded best = round_block(format, 0, &head[first], wanted, rows + first, dim);
        for (int trial = 1; trial < 32; ++trial) {
            const Rounded one = round_block(format, trial, &head[first], wanted, rows + first, dim);
            if (one.miss < best.miss) best = one;
        }
        append_block(format, best, out);
        errors.insert(errors.end(), best.errors, best.errors + 32);
    }
    return out;
}

}  // namespace atlas::test
