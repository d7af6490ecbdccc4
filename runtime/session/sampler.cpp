#include "runtime/session/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace atlas {

namespace {

constexpr auto kHigherFirst = [](const auto& a, const auto& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); };

Result<void> check_range(const char* name, float value, float low, float high) {
    if (value >= low && value <= high) return {};
    return fail(ErrorCode::invalid_argument, "{}: expected {} .. {}, found {}", name, low, high, value);
}

Result<void> check_logits(std::span<const float> logits) {
    bool any = false;
    for (size_t i = 0; i < logits.size(); ++i) {
        if (std::isnan(logits[i]) || logits[i] == std::numeric_limits<float>::infinity()) {
            return fail(ErrorCode::invalid_argument, "logit of token {} is {}: the model's output is damaged", i, logits[i]);
        }
        any = any || std::isfinite(logits[i]);
    }
    if (!any) return fail(ErrorCode::invalid_argument, "no token has a finite logit (of {})", logits.size());
    return {};
}

}  // namespace

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

Result<uint32_t> Sampler::sample(std::span<const float> logits) {
    ATLAS_TRY_VOID(check_logits(logits));
    candidates_.clear();
    for (size_t i = 0; i < logits.size(); ++i) candidates_.push_back({logits[i], static_cast<uint32_t>(i)});
    if (penalizes()) penalize();
    if (options_.temperature == 0 || options_.top_k == 1) {
        return std::min_element(candidates_.begin(), candidates_.end(), kHigherFirst)->id;
    }
    const auto n_all = static_cast<uint32_t>(candidates_.size());
    keep_top_k(options_.top_k == 0 ? n_all : std::min(options_.top_k, n_all));
    keep_top_p();
    keep_min_p();
    return draw();
}

bool Sampler::penalizes() const {
    return !window_.empty() &&
           (options_.repetition_penalty != 1.0f || options_.frequency_penalty != 0.0f || options_.presence_penalty != 0.0f);
}

// Source: the repetition penalty of CTRL (arXiv:1909.05858, section 4.1); frequency and presence as in OpenAI's API reference.
void Sampler::penalize() {
    std::unordered_map<uint32_t, uint32_t> seen;
    for (uint32_t token : window_) ++seen[token];
    for (const auto& [token, times] : seen) {
        if (token >= candidates_.size()) continue;
        float& logit = candidates_[token].logit;
        logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
        logit -= static_cast<float>(times) * options_.frequency_penalty + options_.presence_penalty;
    }
}

// Leaves the candidates sorted, most likely first.
void Sampler::keep_top_k(uint32_t k) {
    std::partial_sort(candidates_.begin(), candidates_.begin() + k, candidates_.end(), kHigherFirst);
    candidates_.resize(k);
}

// Source: nucleus sampling, arXiv:1904.09751.
void Sampler::keep_top_p() {
    if (options_.top_p >= 1) return;
    weights_.clear();
    double total = 0;
    for (const Candidate& c : candidates_) total += weights_.emplace_back(std::exp(double{c.logit} - candidates_[0].logit));
    double sum = 0;
    size_t n_kept = 0;
    while (n_kept < weights_.size()) {
        sum += weights_[n_kept++];
        if (sum >= double{options_.top_p} * total) break;
    }
    candidates_.resize(n_kept);
}

// Source: arXiv:2407.01082.
void Sampler::keep_min_p() {
    if (options_.min_p <= 0) return;
    const double lowest = candidates_[0].logit + std::log(double{options_.min_p});
    const auto end = std::find_if(candidates_.begin() + 1, candidates_.end(), [&](const Candidate& c) { return c.logit < lowest; });
    candidates_.erase(end, candidates_.end());
}

uint32_t Sampler::draw() {
    weights_.clear();
    double total = 0;
    for (const Candidate& c : candidates_) {
        total += weights_.emplace_back(std::exp((double{c.logit} - candidates_[0].logit) / options_.temperature));
    }
    double left = uniform() * total;
    for (size_t i = 0; i < candidates_.size(); ++i) {
        left -= weights_[i];
        if (left < 0) return candidates_[i].id;
    }
    return candidates_[0].id;  // rounding ate the last sliver
}

// 53 random bits as a number in [0, 1).
double Sampler::uniform() {
    const auto bits = philox4x32({static_cast<uint32_t>(n_draws_), static_cast<uint32_t>(n_draws_ >> 32), 0, 0},
                                 {static_cast<uint32_t>(options_.seed), static_cast<uint32_t>(options_.seed >> 32)});
    ++n_draws_;
    const uint64_t high53 = ((uint64_t{bits[0]} << 32) | bits[1]) >> 11;
    return static_cast<double>(high53) * 0x1.0p-53;
}

}  // namespace atlas
