#pragma once
// How many guesses to check at once, from what was measured: the time of steps of every width, and how often guesses were right.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/session/speculator.h"

namespace atlas {

/// Pure: knows no clock and no device. Widths are tokens of a step: the one that is certain and the guesses behind it.
///
/// Speculation may lose at most 1 % of the time that was spent so far and one and a half plain tokens: every block is booked against what its tokens
/// would have cost without, and a block whose failure would go beyond that is not run. Gains are booked too.
class DraftLength {
  public:
    /// The median of the last few: one slow sample, as of a step that had to be recorded, does not count.
    class Samples {
      public:
        void add(double value);
        double median() const;  // 0: none
        bool empty() const { return n_ == 0; }

      private:
        static constexpr size_t kKept = 7;
        std::array<double, kKept> values_{};
        size_t n_ = 0, next_ = 0;
    };

    /// Few, so that few programs are recorded; at most kMostTokensAlike.
    static constexpr std::array<uint32_t, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 24};

    /// `priors`: [kEvidenceClasses] how likely guesses of each class are right before anything was seen.
    explicit DraftLength(std::span<const double> priors);

    /// A token took so long without guesses, one step in the wake of another.
    void plain_took(double ms);
    /// A step of one of kWidths took so long, and `draft_ms` more to make its guesses, and gave n_tokens tokens.
    void block_took(uint32_t width, uint32_t n_tokens, double ms, double draft_ms = 0);
    /// A guess whose forerunners were all right was so too, or not.
    void guess_was(uint8_t evidence, bool right);

    /// The width whose tokens per time are most, at most evidence.size() + 1 and `most`; 1: no guess pays, or it is not known yet what a
    /// plain token takes. `ms_per_guess`: what making one more guess would cost.
    uint32_t width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_guess) const;

    /// From now on steps of this width, or the widest below it that there are guesses for, whatever that costs: for tests and measurements.
    /// 0: by what was measured.
    void fix_width(uint32_t width) { fixed_width_ = width; }

    /// Milliseconds; 0: not known.
    double plain_ms() const { return plain_.median(); }
    double width_ms(uint32_t width) const;
    double right_share(uint8_t evidence) const;
    /// What speculation has cost so far beyond plain decoding, in milliseconds; negative: gained.
    double loss_ms() const { return loss_ms_; }

  private:
    struct Share {
        double right = 0, tried = 0;
    };

    std::array<double, kEvidenceClasses> priors_{};
    std::array<Share, kEvidenceClasses> shares_{};
    Samples plain_;
    uint32_t n_plain_ = 0;
    uint32_t fixed_width_ = 0;
    std::array<Samples, kWidths.size()> widths_{};
    double total_ms_ = 0;
    double loss_ms_ = 0;
};

}  // namespace atlas
