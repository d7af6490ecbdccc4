#pragma once
// How many guesses to check at once, from what was measured: the time of steps of every width, and how often guesses were right.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/session/speculation/speculator.h"
#include "runtime/session/speculation/step_costs.h"

namespace atlas {

/// Pure: knows no clock and no device. Widths are tokens of a step: the one that is certain and the draft tokens after it. Costs are counted in plain
/// steps, by medians of pairs of neighbouring steps (StepCosts): other programs that slow the machine down for a while change no decision.
///
/// Speculation may lose at most 1 % of what was spent so far and one and a half plain steps, and never more than 2 % of an answer whose longest
/// length is known (look_ahead): every block is booked against what its tokens would have cost without, the recording of its program too, and a
/// block whose failure would go beyond that is not run. Gains are booked too.
class DraftLength {
  public:
    /// Few, so that few programs are recorded; at most kBatchInvariantWidth.
    static constexpr std::array<uint32_t, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 24};

    /// `priors`: [kEvidenceClasses] how likely guesses of each class are right before anything was seen.
    explicit DraftLength(std::span<const double> priors);

    /// A token took so long without draft tokens, in a step that followed another plain one.
    void plain_took(double ms);
    /// A step of one of kWidths took so long, and `draft_ms` more to make its guesses, and gave n_tokens tokens.
    void block_took(uint32_t width, uint32_t n_tokens, double ms, double draft_ms = 0);
    /// A step was recorded for a width that had no program here.
    void recording_took(double ms);
    /// What recording takes, as far as the first plain step tells; counts until a width was recorded.
    void expect_recording(double ms);
    /// Holds until it is called again: how many tokens may follow at most, and for which of kWidths a program is there (bit i: kWidths[i]).
    /// A width that has none is tried only where what follows can pay for its recording.
    void look_ahead(uint32_t n_more, uint32_t recorded_widths);
    /// A guess whose forerunners were all right was so too, or not.
    void draft_was(uint8_t evidence, bool right);

    /// The width whose tokens per time are most, at most evidence.size() + 1 and `most`; 1: no guess pays, or it is not known yet what a
    /// plain token takes. `ms_per_draft_token`: what making one more guess would cost.
    uint32_t width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_draft_token) const;

    /// From now on steps of this width, or the widest below it that there are guesses for, whatever that costs: for tests and measurements.
    /// 0: by what was measured.
    void fix_width(uint32_t width) { fixed_width_ = width; }

    /// What a plain step takes at present, in milliseconds; 0: not known.
    double plain_ms() const { return costs_.pace_ms(); }
    /// Of a step of this width, in plain steps: measured, or interpolated between its measured neighbours.
    double cost(uint32_t width) const;
    /// Whether cost() rests on enough pairs to be printed.
    bool is_known(uint32_t width) const;
    double right_share(uint8_t evidence) const;
    /// What speculation has cost so far beyond plain decoding, in plain steps; negative: gained.
    double loss() const { return loss_; }

  private:
    struct Share {
        double right = 0, tried = 0;
    };

    std::array<double, kEvidenceClasses> priors_{};
    std::array<Share, kEvidenceClasses> shares_{};
    StepCosts costs_;  // kind 0: plain; 1 + i: blocks of kWidths[i], of which the first is the plain step after a block
    uint32_t n_plain_ = 0;
    double blocks_left_ = 0;  // until plain steps are due
    uint32_t fixed_width_ = 0;
    double record_ms_ = 0;  // of the last program, or expected
    bool has_recorded_ = false;
    uint32_t n_more_ = UINT32_MAX;
    uint32_t recorded_widths_ = UINT32_MAX;
    double total_ = 0;  // in plain steps, like loss_
    double loss_ = 0;
};

}  // namespace atlas
