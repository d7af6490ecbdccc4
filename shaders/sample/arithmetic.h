// The arithmetic of choosing a token, read by GLSL and by C++: the device, the host's sampler and the test oracle must agree to the last
// bit, on every device. So logits are ordered as integers, probabilities are integers (sums in any order are the same number), and of
// floating point there is one subtraction and one product at a time, which IEEE rounds one way only.
//
// Order of the candidates: rank_of descending, then id ascending. Every filter keeps a head of that order.
//   top_k   the first k
//   top_p   the smallest head whose weights at temperature 1 sum to at least floor(total * head_share / 2^32), and at least one
//   min_p   what ranks at least as high as best + log_min_p (f32 sum)
//   draw    the first whose weights at the temperature, summed up to and including it, are above floor(total * random64 / 2^64)
#ifndef ATLAS_SAMPLE_ARITHMETIC_H
#define ATLAS_SAMPLE_ARITHMETIC_H

#ifdef __cplusplus
#include <bit>
#include <cstdint>
#define ATLAS_SAMPLE_FN inline
#define ATLAS_SAMPLE_EXACT
namespace atlas::sampling {
using uint = std::uint32_t;
inline uint bits_of(float x) { return std::bit_cast<uint>(x); }
inline float float_of(uint bits) { return std::bit_cast<float>(bits); }
inline uint high_word(uint a, uint b) { return static_cast<uint>((std::uint64_t{a} * b) >> 32); }
#else
#define ATLAS_SAMPLE_FN
#define ATLAS_SAMPLE_EXACT precise
uint bits_of(float x) { return floatBitsToUint(x); }
float float_of(uint bits) { return uintBitsToFloat(bits); }
uint high_word(uint a, uint b) {
    uint high, low;
    umulExtended(a, b, high, low);
    return high;
}
#endif

// The sampling parameters of a row: words of the step buffer.
const uint kParamFlags = 0u;       // kWants...
const uint kParamTopK = 1u;        // 0: all
const uint kParamHeadShare = 2u;   // top_p in 2^-32; with kWantsTopP
const uint kParamLogMinP = 3u;     // f32 <= 0; with kWantsMinP
const uint kParamRate = 4u;        // f32: octaves of weight per unit of logit, log2(e) / temperature
const uint kParamSeed = 5u;        // two words, the low one first
const uint kParamDraw = 7u;        // two words: number of this draw in the seed's stream
const uint kParamRepetition = 9u;  // f32, multiplies negative logits of seen tokens
const uint kParamInverse = 10u;    // f32, 1 / repetition: multiplies positive ones
const uint kParamFrequency = 11u;  // f32
const uint kParamPresence = 12u;   // f32
const uint kParamWords = 16u;      // per row

const uint kWantsGreedy = 1u;     // the first candidate, nothing is drawn
const uint kWantsTopP = 2u;
const uint kWantsMinP = 4u;
const uint kWantsSum = 8u;        // kResultSum is filled in
const uint kWantsPenalties = 16u; // by the history

// The result of a row.
const uint kResultId = 0u;      // of the chosen token, or with another status than 0 of the first damaged logit
const uint kResultStatus = 1u;  // 0: chosen; kDamaged...; kImpossible: no finite logit
const uint kResultRank = 2u;    // of that token
const uint kResultBest = 3u;    // the highest rank
const uint kResultSum = 4u;     // two words: all weights at temperature 1; with kWantsSum
const uint kResultWords = 8u;   // per row

const uint kChosen = 0u;
const uint kDamaged = 1u;     // a logit is not a number or +infinity
const uint kImpossible = 2u;  // every logit is -infinity

// The tokens that penalties look at: a ring in the step buffer. Word 0: how many there are; word 1: where the next one goes; then the ring.
const uint kHistoryHead = 2u;

const uint kRankMinusInfinity = 0x007FFFFFu;
const uint kRankInfinity = 0xFF800000u;  // and above: damaged

// A logit as an integer that orders like it. Zeros of both signs and numbers below 2^-126 (which devices may flush) are one value.
ATLAS_SAMPLE_FN uint rank_of(float logit) {
    const uint bits = bits_of(logit);
    const uint magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return 0xFFFFFFFFu;  // not a number
    if (magnitude < 0x00800000u) return 0x80000000u;
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

ATLAS_SAMPLE_FN float logit_of(uint rank) { return float_of((rank & 0x80000000u) != 0u ? rank ^ 0x80000000u : ~rank); }

const uint kFullWeight = 0x80000000u;
const float kOctavesPerUnit = 1.44269504f;  // log2(e): the rate at temperature 1

// 2^31 * exp(-(best - logit) / temperature), to about 1e-9 of 2^31, or 0 below 2^-32. `rate`: log2(e) / temperature.
ATLAS_SAMPLE_FN uint weight_of(uint rank, uint best, float rate) {
    if (rank >= best) return kFullWeight;
    if (rank <= kRankMinusInfinity) return 0u;
    ATLAS_SAMPLE_EXACT float distance = logit_of(best) - logit_of(rank);
    ATLAS_SAMPLE_EXACT float octaves = distance * rate;
    if (!(octaves < 32.0f)) return 0u;
    const uint fixed_point = uint(octaves * 67108864.0f);  // exact but for the bits below 2^-26
    const uint x = fixed_point << 6;                       // the fraction, in 2^-32
    // 2^-x = 1 - x (a1 - x (a2 - ...)), the Taylor series: a_k = ln(2)^k / k! in 2^-32. The first term left out is below 5e-10.
    uint a = 0x1Eu;
    a = 0x1B5u - high_word(x, a);
    a = 0x162Cu - high_word(x, a);
    a = 0xFFE6u - high_word(x, a);
    a = 0xA1849u - high_word(x, a);
    a = 0x576200u - high_word(x, a);
    a = 0x276556Eu - high_word(x, a);
    a = 0xE35846Cu - high_word(x, a);
    a = 0x3D7F7BFFu - high_word(x, a);
    a = 0xB17217F8u - high_word(x, a);
    return (kFullWeight - (high_word(x, a) >> 1)) >> (fixed_point >> 26);
}

// The lowest rank that min_p keeps.
ATLAS_SAMPLE_FN uint lowest_rank(uint best, float log_min_p) {
    ATLAS_SAMPLE_EXACT float lowest = logit_of(best) + log_min_p;
    const uint rank = rank_of(lowest);
    return rank < best ? rank : best;
}

// A logit whose token was seen `times` times (at least once).
ATLAS_SAMPLE_FN float penalized(float logit, uint times, float repetition, float inverse, float frequency, float presence) {
    ATLAS_SAMPLE_EXACT float scaled = logit * (logit > 0.0f ? inverse : repetition);
    ATLAS_SAMPLE_EXACT float counted = float(times) * frequency;
    ATLAS_SAMPLE_EXACT float taken = counted + presence;
    ATLAS_SAMPLE_EXACT float left = scaled - taken;
    return left;
}

#ifdef __cplusplus
// floor(sum * share / 2^32)
inline std::uint64_t share_of(std::uint64_t sum, uint share) { return (sum >> 32) * share + (((sum & 0xFFFFFFFFu) * share) >> 32); }
// floor(sum * fraction / 2^64)
inline std::uint64_t fraction_of(std::uint64_t sum, std::uint64_t fraction) {
    const std::uint64_t low = sum & 0xFFFFFFFFu, high = sum >> 32, fraction_low = fraction & 0xFFFFFFFFu, fraction_high = fraction >> 32;
    const std::uint64_t middle = high * fraction_low + ((low * fraction_low) >> 32);
    return high * fraction_high + (middle >> 32) + ((low * fraction_high + (middle & 0xFFFFFFFFu)) >> 32);
}
}  // namespace atlas::sampling
#endif
#endif
