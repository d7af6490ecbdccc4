#include "runtime/session/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace atlas {

namespace {

using namespace sampling;

constexpr auto kHigherFirst = [](const auto& a, const auto& b) {
    return a.rank > b.rank || (a.rank == b.rank && a.id < b.id);
};

Result<void> check_range(const char* name, float value, float low, float high) {
    if (value >= low && value <= high) return {};
    return fail(ErrorCode::invalid_argument, "{}: expected {} .. {}, found {}", name, low, high, value);
}

bool is_greedy(const SamplerOptions& options) { return options.temperature == 0 || options.top_k == 1; }

}  // namespace

bool has_penalties(const SamplerOptions& options) {
    return options.penalty_window > 0 && (options.repetition_penalty != 1.0f || options.frequency_penalty != 0.0f ||
                                          options.presence_penalty != 0.0f);
}

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = uint64_t{0xD2511F53u} * counter[0];
        const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
                   static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
        key[0] += 0x9E3779B9u;
        key[1] += 0xBB67AE85u;
    }
    return counter;
}

std::array<uint32_t, kParamWords> sample_params(const SamplerOptions& options, uint64_t draw, bool penalties,
                                                bool sum) {
    std::array<uint32_t, kParamWords> words{};
    const bool top_p = options.top_p<1, min_p = options.min_p> 0;
    words[kParamFlags] = (is_greedy(options) ? kWantsGreedy : 0u) | (top_p ? kWantsTopP : 0u) |
                         (min_p ? kWantsMinP : 0u) | (sum ? kWantsSum : 0u) |
                         (penalties && has_penalties(options) ? kWantsPenalties : 0u);
    words[kParamTopK] = options.top_k;
    if (top_p) words[kParamHeadShare] = static_cast<uint32_t>(double{options.top_p} * 0x1p32);
    if (min_p) words[kParamLogMinP] = bits_of(static_cast<float>(std::log(double{options.min_p})));
    // Smaller temperatures give the same result as 1e-30: only the best is left.
    if (options.temperature > 0) words[kParamRate] = bits_of(kOctavesPerUnit / std::max(options.temperature, 1e-30f));
    words[kParamSeed] = static_cast<uint32_t>(options.seed);
    words[kParamSeed + 1] = static_cast<uint32_t>(options.seed >> 32);
    words[kParamDraw] = static_cast<uint32_t>(draw);
    words[kParamDraw + 1] = static_cast<uint32_t>(draw >> 32);
    words[kParamRepetition] = bits_of(options.repetition_penalty);
    words[kParamInverse] = bits_of(1 / options.repetition_penalty);
    words[kParamFrequency] = bits_of(options.frequency_penalty);
    words[kParamPresence] = bits_of(options.presence_penalty);
    return words;
}

Error damaged_logits(uint32_t status, uint32_t id, uint32_t rank, uint64_t n_vocab) {
    if (status == kImpossible) return {ErrorCode::corrupt, fmt::format("no token has a finite logit (of {})", n_vocab)};
    // The kernel never ran, or the device is being lost.
    if (status == kChosen)
        return {ErrorCode::device_lost,
                fmt::format("the device chose token {} of {}: an id outside the vocabulary", id, n_vocab)};
    return {ErrorCode::corrupt,
            fmt::format("logit of token {} is {}: the model's output is damaged", id, logit_of(rank))};
}

Result<Sampler> Sampler::create(const SamplerOptions& options) {
    constexpr float kMost = 1e4f;
    ATLAS_TRY_VOID(check_range("temperature", options.temperature, 0, kMost));
    ATLAS_TRY_VOID(check_range("top_p", options.top_p, 0, 1));
    ATLAS_TRY_VOID(check_range("min_p", options.min_p, 0, 1));
    ATLAS_TRY_VOID(check_range("repetition_penalty", options.repetition_penalty, 1e-3f, kMost));
    ATLAS_TRY_VOID(check_range("frequency_penalty", options.frequency_penalty, -kMost, kMost));
    ATLAS_TRY_VOID(check_range("presence_penalty", options.presence_penalty, -kMost, kMost));
    return Sampler(options);
}

void Sampler::accept(uint32_t token) {
    if (options_.penalty_window == 0) return;
    if (window_.size() < options_.penalty_window) {
        window_.push_back(token);
        return;
    }
    window_[window_next_] = token;
    window_next_ = (window_next_ + 1) % window_.size();
}

void Sampler::reset() {
    window_.clear();
    window_next_ = 0;
    n_draws_ = 0;
}

Sampler::Sampler(const SamplerOptions& options) : options_(options), params_(sample_params(options, 0, true, false)) {}

std::vector<uint32_t> Sampler::history() const {
    std::vector<uint32_t> tokens(window_.begin() + std::ptrdiff_t(window_next_), window_.end());
    tokens.insert(tokens.end(), window_.begin(), window_.begin() + std::ptrdiff_t(window_next_));
    return tokens;
}

Result<uint32_t> Sampler::sample(std::span<const float> logits) {
    ATLAS_TRY_VOID(rank_all(logits));
    if (is_greedy(options_)) return std::min_element(candidates_.begin(), candidates_.end(), kHigherFirst)->id;
    keep_top_k();
    keep_top_p();
    keep_min_p();
    return draw();
}

bool Sampler::penalizes() const { return !window_.empty() && has_penalties(options_); }

Result<void> Sampler::rank_all(std::span<const float> logits) {
    candidates_.resize(logits.size());
    for (uint32_t i = 0; i < logits.size(); ++i) candidates_[i] = {rank_of(logits[i]), i};
    if (penalizes()) penalize(logits);
    uint32_t best = 0;
    for (const Candidate& c : candidates_) {
        if (c.rank >= kRankInfinity) return tl::unexpected(damaged_logits(kDamaged, c.id, c.rank, logits.size()));
        best = std::max(best, c.rank);
    }
    if (best <= kRankMinusInfinity) return tl::unexpected(damaged_logits(kImpossible, 0, 0, logits.size()));
    return {};
}

// Source: the repetition penalty of CTRL (arXiv:1909.05858, section 4.1); frequency and presence as in OpenAI's API
// reference.
void Sampler::penalize(std::span<const float> logits) {
    std::unordered_map<uint32_t, uint32_t> seen;
    for (uint32_t token : window_) ++seen[token];
    for (const auto& [token, times] : seen) {
        if (token >= candidates_.size()) continue;
        candidates_[token].rank =
            rank_of(penalized(logits[token], times, number(kParamRepetition), number(kParamInverse),
                              number(kParamFrequency), number(kParamPresence)));
    }
}

// Leaves the candidates sorted, most likely first.
void Sampler::keep_top_k() {
    const size_t k =
        word(kParamTopK) == 0 ? candidates_.size() : std::min<size_t>(word(kParamTopK), candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + std::ptrdiff_t(k), candidates_.end(), kHigherFirst);
    candidates_.resize(k);
}

// Source: nucleus sampling, arXiv:1904.09751.
void Sampler::keep_top_p() {
    if ((word(kParamFlags) & kWantsTopP) == 0) return;
    const uint64_t need = share_of(sum_of_weights(kOctavesPerUnit), word(kParamHeadShare));
    candidates_.resize(head_for(std::max<uint64_t>(need, 1), kOctavesPerUnit));
}

// Source: arXiv:2407.01082.
void Sampler::keep_min_p() {
    if ((word(kParamFlags) & kWantsMinP) == 0) return;
    const uint32_t lowest = lowest_rank(candidates_[0].rank, number(kParamLogMinP));
    const auto end =
        std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& c) { return c.rank < lowest; });
    candidates_.erase(end, candidates_.end());
}

uint32_t Sampler::draw() {
    const float rate = number(kParamRate);
    const auto bits = philox4x32({static_cast<uint32_t>(n_draws_), static_cast<uint32_t>(n_draws_ >> 32), 0, 0},
                                 {static_cast<uint32_t>(options_.seed), static_cast<uint32_t>(options_.seed >> 32)});
    ++n_draws_;
    const uint64_t random = (uint64_t{bits[0]} << 32) | bits[1];
    return candidates_[head_for(fraction_of(sum_of_weights(rate), random) + 1, rate) - 1].id;
}

uint64_t Sampler::sum_of_weights(float rate) const {
    uint64_t sum = 0;
    for (const Candidate& c : candidates_) sum += weight_of(c.rank, candidates_[0].rank, rate);
    return sum;
}

size_t Sampler::head_for(uint64_t need, float rate) const {
    uint64_t sum = 0;
    for (size_t i = 0; i < candidates_.size(); ++i) {
        sum += weight_of(candidates_[i].rank, candidates_[0].rank, rate);
        if (sum >= need) return i + 1;
    }
    return candidates_.size();
}

}  // namespace atlas
