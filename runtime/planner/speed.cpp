#include "runtime/planner/speed.h"

#include <algorithm>
#include <cmath>

namespace atlas {

namespace {

// The price of verifying n tokens at once against one. Not measured on our kernels (no card so far): a straight line
// through what llama.cpp measured in CUDA, steps of 2, 4 and 8 tokens of a 34B Q8_0 at 1.07, 1.28 and 1.72; the line
// says 1.09, 1.27 and 1.63, so it is 5 % too low at 8, and beyond 8 it is an extrapolation. llama.cpp's Vulkan path on
// Strix Halo costs 1.6 at 8.
double verify_cost_of(uint32_t n_tokens) { return 1.0 + 0.09 * (n_tokens - 1); }

SpeedBand band_of(const SpeedFacts& facts, const SpeedFactors& factors, LayerKind layers) {
    if (factors.calibrated) return {1 - facts.band_calibrated, 1 + facts.band_calibrated};
    return layers == LayerKind::dense ? factors.band : factors.band_other;
}

constexpr uint32_t kPromptStep = 512;  // tokens of a prompt that run in one step

Range around(double speed, const SpeedBand& band) { return {speed * band.low, speed * band.high, speed}; }

SpeedBand widened(const SpeedBand& band, double by) { return {band.low / by, band.high * by}; }

LayerKind layers_of(const ModelShape& model) {
    for (const Mixer mixer : {Mixer::delta_net, Mixer::state_space, Mixer::short_conv})
        if (model.has(mixer)) return LayerKind::recurrent;
    return model.experts().n > 0 ? LayerKind::experts : LayerKind::dense;
}

}  // namespace

SpeedFactors factors_of(const Catalogue& catalogue, const Card& card) {
    SpeedFactors factors;
    factors.bandwidth_gbps = card.bandwidth_gbps;
    factors.matrix_tflops = card.matrix_tflops > 0 ? card.matrix_tflops : 2 * card.fp32_tflops;
    for (const SpeedClass& row : catalogue.speed.classes) {
        if (!row.vendor.empty() && row.vendor != card.vendor) continue;
        if (!card.arch.starts_with(row.arch_prefix)) continue;
        static_cast<SpeedParameters&>(factors) = row;
        factors.source = fmt::format("{} {}{}{} ({}; {})", row.estimated ? "estimated class" : "class",
                                     row.vendor.empty() ? "any" : row.vendor, row.arch_prefix.empty() ? "" : " ",
                                     row.arch_prefix, row.source, catalogue.speed.source);
        break;
    }
    return factors;
}

SpeedFactors factors_between(const Catalogue& catalogue, const Card& slowest, const Card& fastest) {
    SpeedFactors factors = factors_of(catalogue, Card());  // the class of cards of which nothing is known
    const double middle = std::sqrt(slowest.bandwidth_gbps * fastest.bandwidth_gbps);
    factors.bandwidth_gbps = middle;
    const double least = factors_of(catalogue, slowest).matrix_tflops,
                 most = factors_of(catalogue, fastest).matrix_tflops;
    factors.matrix_tflops = std::sqrt(least * most);
    for (SpeedBand* band : {&factors.band, &factors.band_other})
        *band = widened(*band, fastest.bandwidth_gbps / middle);
    factors.prefill_band = widened(factors.prefill_band, std::max(most, least) / factors.matrix_tflops);
    return factors;
}

DecodeLoad decode_load(const ModelShape& model, const ModelSize& size, double kv_bytes) {
    return {double(size.step_bytes), model.n_layer(), layers_of(model), kv_bytes};
}

double decode_ms(const SpeedFacts& facts, const SpeedFactors& factors, const DecodeLoad& load) {
    const double bytes_per_ms = factors.bandwidth_gbps * 1e6;
    const double kernels = load.layers == LayerKind::experts     ? facts.moe_layer_factor
                           : load.layers == LayerKind::recurrent ? factors.recurrent_factor
                                                                 : 1;
    return load.weight_bytes / (factors.efficiency * bytes_per_ms) + kernels * factors.ms_per_layer * load.n_layer +
           load.kv_bytes / (facts.kv_efficiency * bytes_per_ms);
}

Range decode_speed(const SpeedFacts& facts, const SpeedFactors& factors, const DecodeLoad& load) {
    const SpeedBand band = band_of(facts, factors, load.layers);
    Range range = around(1000.0 / decode_ms(facts, factors, load), band);
    if (factors.calibrated) return range;
    SpeedFactors slow = factors;
    slow.ms_per_layer *= facts.slow_host_factor;
    range.low = band.low * 1000.0 / decode_ms(facts, slow, load);
    return range;
}

Range prefill_speed(const SpeedFacts& facts, const SpeedFactors& factors, const ModelShape& model,
                    const ModelSize& size, uint32_t n_tokens) {
    const double weights = 8.0 * double(size.step_bytes) / size.bits_per_weight;  // active ones
    double heads = 0;
    for (const LayerConfig& layer : model.config.layers)
        heads += double(layer.n_head) * (layer.head_dim + layer.v_head_dim);
    const double attention = 2.0 * heads * n_tokens / 2;
    const double flops = 2 * weights + attention;
    const double products_ms = n_tokens * flops / (factors.prefill_share * factors.matrix_tflops * 1e9);
    const double steps_ms =
        std::ceil(double(n_tokens) / kPromptStep) * decode_ms(facts, factors, decode_load(model, size, 0));
    const double speed = 1000.0 * n_tokens / (products_ms + steps_ms);
    return around(speed, factors.calibrated ? band_of(facts, factors, layers_of(model)) : factors.prefill_band);
}

double speculation_speedup(double acceptance, uint32_t length, double verify_cost, double draft_cost) {
    const double expected = acceptance >= 1 ? length + 1.0 : (1 - std::pow(acceptance, length + 1)) / (1 - acceptance);
    return expected / (verify_cost + length * draft_cost);
}

Speculation best_speculation(double acceptance, double draft_cost) {
    Speculation best;
    for (uint32_t length = 1; length <= 16; ++length) {
        const double speedup = speculation_speedup(acceptance, length, verify_cost_of(length + 1), draft_cost);
        if (speedup > best.speedup) best = {length, speedup};
    }
    return best;
}

Energy energy_of(double watts, double tokens_per_s, double usd_per_kwh) {
    const double joules = watts / tokens_per_s;
    return {joules, joules * 1e6 / 3.6e6 * usd_per_kwh};
}

}  // namespace atlas
