#pragma once
// Chooses the next token from the logits of the last one.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/error.h"
#include "shaders/sample/arithmetic.h"

namespace atlas {

/// Order of application: penalties, top_k, top_p, min_p, temperature, draw. With temperature 0 (or top_k 1) the largest penalized logit
/// wins and nothing is drawn. Equal logits: the lowest id comes first everywhere. What each means to the last bit stands in
/// shaders/sample/arithmetic.h, which the device's sampler reads too: both choose the same token from the same logits.
struct SamplerOptions {
    float temperature = 0.8f;  // 0: greedy
    uint32_t top_k = 40;       // keep the k largest; 0: all
    float top_p = 0.95f;       // keep the smallest head of the sorted list whose probabilities (at temperature 1) sum to at least p; 1: all
    float min_p = 0.05f;       // drop what is less likely than min_p times the most likely; 0: none

    // Of the last penalty_window tokens that were accepted:
    float repetition_penalty = 1.0f;  // a seen token's logit is divided by it when positive, multiplied when negative; 1: off
    float frequency_penalty = 0.0f;   // times how often it was seen, is subtracted
    float presence_penalty = 0.0f;    // is subtracted once when it was seen
    uint32_t penalty_window = 64;     // 0: penalties off

    uint64_t seed = 0;
};

/// Philox4x32-10: the n-th number of a seed is a function of (seed, n) alone, so that a rewound timeline draws again what it drew.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Whether accepted tokens change logits under these options.
bool has_penalties(const SamplerOptions& options);

/// The options as the words that sampling::kParam... name, for the draw of this number in the seed's stream.
/// `penalties`: whether the history is to be looked at; `sum`: whether the sum for log probabilities is wanted.
std::array<uint32_t, sampling::kParamWords> sample_params(const SamplerOptions& options, uint64_t draw, bool penalties, bool sum);

/// What sample() says of a row whose status is not sampling::kChosen.
Error damaged_logits(uint32_t status, uint32_t id, uint32_t rank, uint64_t n_vocab);

class Sampler {
  public:
    /// Fails: invalid_argument (a value outside its range: names the field).
    static Result<Sampler> create(const SamplerOptions& options);

    /// The next token. Does not accept it. logits: [n_vocab], any of them may be -inf.
    /// Fails: corrupt when a logit is not a number, +inf, or all are -inf (names the first such token).
    Result<uint32_t> sample(std::span<const float> logits);

    /// Tells that `token` is now part of the timeline, for the penalties (also for the prompt's tokens, in order).
    void accept(uint32_t token);
    /// Forgets accepted tokens and starts the random numbers over.
    void reset();

    const SamplerOptions& options() const { return options_; }
    /// Whether any accepted token changes logits now.
    bool penalizes() const;
    /// The accepted tokens that penalties look at, oldest first.
    std::vector<uint32_t> history() const;
    /// How many tokens were drawn; the next draw has this number.
    uint64_t n_draws() const { return n_draws_; }
    /// Tells that somebody else drew so many, as the device does: the next draw comes behind them.
    void skip_draws(uint64_t n) { n_draws_ += n; }

  private:
    struct Candidate {
        uint32_t rank;
        uint32_t id;
    };
    explicit Sampler(const SamplerOptions& options);

    Result<void> rank_all(std::span<const float> logits);
    void penalize(std::span<const float> logits);
    void keep_top_k();
    void keep_top_p();
    void keep_min_p();
    uint32_t draw();
    /// The candidates up to the one at which their weights, in order, sum to need.
    size_t head_for(uint64_t need, float rate) const;
    uint64_t sum_of_weights(float rate) const;
    uint32_t word(uint32_t index) const { return params_[index]; }
    float number(uint32_t index) const { return sampling::float_of(params_[index]); }

    SamplerOptions options_;
    std::array<uint32_t, sampling::kParamWords> params_;
    std::vector<uint32_t> window_;  // a ring of the last accepted tokens
    size_t window_next_ = 0;
    uint64_t n_draws_ = 0;
    std::vector<Candidate> candidates_;
};

}  // namespace atlas
