#pragma once
// How fast a model decodes and reads a prompt on a card: a roofline of two parameters. One token costs its weights'
// bytes over a share of the memory bandwidth, plus a fixed cost per layer (launches, small kernels), plus the cache's
// bytes.

#include <optional>

#include "runtime/planner/catalogue.h"
#include "runtime/planner/sizes.h"

namespace atlas {

/// The roofline of a device and its driver.
struct SpeedFactors : SpeedParameters {
    double bandwidth_gbps = 0;
    double matrix_tflops = 0;
    bool calibrated = false;  // measured on this device and driver
    bool unknown = false;     // the bandwidth is not known: speeds serve to rank and are not shown
};

/// From the card's data sheet and the class it belongs to.
SpeedFactors factors_of(const Catalogue& catalogue, const Card& card);
/// For a card of which only this is known: its bandwidth lies between those of these two. The band is wider by that
/// range.
SpeedFactors factors_between(const Catalogue& catalogue, const Card& slowest, const Card& fastest);

struct Range {
    double low = 0;
    double high = 0;
    double likely = 0;  // the prediction itself; bands are not symmetric
};

/// What a layer costs besides its bytes.
enum class LayerKind { dense, experts, recurrent };

/// A step of decoding, in ms. Units: bytes read, layers, tokens in the cache.
struct DecodeLoad {
    double weight_bytes = 0;  // ModelSize::step_bytes
    uint32_t n_layer = 0;
    LayerKind layers = LayerKind::dense;
    double kv_bytes = 0;  // read by one token at its depth
};
DecodeLoad decode_load(const ModelShape& model, const ModelSize& size, double kv_bytes);
double decode_ms(const SpeedFacts& facts, const SpeedFactors& factors, const DecodeLoad& load);
/// tokens/s with the band of the factors around it: from a slow host and the class's slow cards to its fast cards. What
/// differs between hosts, drivers and engines is the fixed cost of a layer, so the band of a small model is wide below,
/// and that of a large one is not.
Range decode_speed(const SpeedFacts& facts, const SpeedFactors& factors, const DecodeLoad& load);

/// Prompt tokens/s for a prompt of n_tokens from an empty cache. The cost is 2 operations per active weight and token,
/// those of attention, and a step of one token for every 512 of them, because the weights are read and the kernels
/// started that often.
Range prefill_speed(const SpeedFacts& facts, const SpeedFactors& factors, const ModelShape& model,
                    const ModelSize& size, uint32_t n_tokens);

/// Speculation: a draft of `length` tokens is proposed per step and each is accepted with probability `acceptance`;
/// verifying costs `verify_cost` plain steps and proposing one token `draft_cost` of one. Returns how many times faster
/// than plain decoding. Source: expected tokens per step of arXiv:2211.17192, (1 - a^(n+1)) / (1 - a).
double speculation_speedup(double acceptance, uint32_t length, double verify_cost, double draft_cost);
/// The best of draft lengths 1 .. 16.
struct Speculation {
    uint32_t length = 0;
    double speedup = 1;
};
Speculation best_speculation(double acceptance, double draft_cost);

/// Joules per generated token at the card's board power, and what a million tokens cost at a tariff.
struct Energy {
    double joules_per_token = 0;
    double usd_per_million_tokens = 0;
};
Energy energy_of(double watts, double tokens_per_s, double usd_per_kwh);

}  // namespace atlas
