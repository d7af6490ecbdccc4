#pragma once
// Chooses the next token from the logits of the last one.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/error.h"
#include "shaders/sample/arithmetic.h"

namespace atlas {

/// Order of application: penalties, top_k, top_p, min_p, temperature, draw. With temperature 0 (or top_k 1) the
/// largest penalized logit wins and nothing is drawn. Of equal logits the lowest id comes first everywhere.
/// shaders/sample/arithmetic.h defines each step to the last bit; the device's sampler reads it too, so both choose
/// the same token from the same logits.
struct SamplerOptions {
    float temperature = 0.8f;  // 0: greedy
    uint32_t top_k = 40;       // keep the k largest; 0: all
    // keep the shortest prefix of the sorted list whose probabilities (at temperature 1) sum to at least p; 1: all
    float top_p = 0.95f;
    float min_p = 0.05f;  // drop tokens less likely than min_p times the most likely; 0: none

    // Of the last penalty_window accepted tokens:
    // a seen token's logit is divided by it when positive, multiplied when negative; 1: off
    float repetition_penalty = 1.0f;
    float frequency_penalty = 0.0f;  // subtracted once for every time it was seen
    float presence_penalty = 0.0f;   // subtracted once if it was seen at all
    uint32_t penalty_window = 64;    // 0: penalties off

    uint64_t seed = 0;
};

/// Philox4x32-10: the n-th number of a seed is a function of (seed, n) alone, so that a rewound timeline draws the
/// same numbers again.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Whether accepted tokens change logits under these options.
bool has_penalties(const SamplerOptions& options);

/// The options as the words that sampling::kParam... name, for the draw with this number in the seed's stream.
/// `penalties`: apply them to the history; `sum`: compute the sum that log probabilities need.
std::array<uint32_t, sampling::kParamWords> sample_params(const SamplerOptions& options, uint64_t draw, bool penalties,
                                                          bool sum);

/// The error that sample() returns for a row whose status is not sampling::kChosen.
Error damaged_logits(uint32_t status, uint32_t id, uint32_t rank, uint64_t n_vocab);

class Sampler {
  public:
    /// Fails: invalid_argument (a value outside its range: names the field).
    static Result<Sampler> create(const SamplerOptions& options);

    /// Chooses the next token and does not accept it. logits: [n_vocab], any of them may be -inf.
    /// Fails: corrupt when a logit is not a number, +inf, or all are -inf (names the first such token).
    Result<uint32_t> sample(std::span<const float> logits);

    /// Records that `token` is now part of the timeline, for the penalties (also for the prompt's tokens, in order).
    void accept(uint32_t token);
    /// Forgets accepted tokens and restarts the random numbers.
    void reset();

    const SamplerOptions& options() const { return options_; }
    /// Whether any accepted token changes logits now.
    bool penalizes() const;
    /// The accepted tokens that penalties apply to, oldest first.
    std::vector<uint32_t> history() const;
    /// How many tokens were drawn; the next draw has this number.
    uint64_t n_draws() const { return n_draws_; }
    /// Skips n numbers that were drawn elsewhere, as by the device: the next draw has the number after them.
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
    /// How many candidates, in order, it takes until their weights sum to at least `need`.
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
