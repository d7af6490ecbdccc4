#pragma once
// Decides how many draft tokens to verify at once, from measurements: the time of steps of every width, and
// acceptance.

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/session/speculation/speculator.h"
#include "runtime/session/speculation/step_costs.h"

namespace atlas {

/// Pure: knows no clock and no device. A width is the number of tokens of a step: the one that is already chosen and
/// the draft tokens after it. Costs are counted in plain steps, by medians of pairs of neighbouring steps
/// (StepCosts): other programs that slow the machine down for a while change no decision.
///
/// Speculation may lose at most 1 % of what was spent so far and one and a half plain steps, and never more than 2 %
/// of an answer whose longest length is known (look_ahead). Every block, the recording of its program included, is
/// booked against what its tokens would have cost in plain steps, and a block whose failure would exceed that limit
/// is not run. Gains are booked too.
class DraftLength {
  public:
    /// Few widths, so that few programs are recorded; at most kBatchInvariantWidth.
    static constexpr std::array<uint32_t, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 24};

    /// `priors`: [kEvidenceClasses] the expected acceptance of each class before anything was measured.
    explicit DraftLength(std::span<const double> priors);

    /// A token took `ms` without draft tokens, in a step that followed another plain one.
    void plain_took(double ms);
    /// A step of one of kWidths took `ms`, and `draft_ms` more to make its draft tokens, and produced n_tokens
    /// tokens.
    void block_took(uint32_t width, uint32_t n_tokens, double ms, double draft_ms = 0);
    /// A step was recorded for a width that had no program here.
    void recording_took(double ms);
    /// How long recording is expected to take, judged by the first plain step; used until a width was recorded.
    void expect_recording(double ms);
    /// How many tokens may follow at most, and which of kWidths have a program (bit i: kWidths[i]). Holds until the
    /// next call. A width without a program is tried only where the tokens that follow can pay for its recording.
    void look_ahead(uint32_t n_more, uint32_t recorded_widths);
    /// A draft token whose predecessors were all accepted was accepted too, or rejected.
    void draft_was(uint8_t evidence, bool right);

    /// The width with the most tokens per time, at most evidence.size() + 1 and `most`; 1: no draft token pays, or
    /// the cost of a plain token is not known yet. `ms_per_draft_token`: what making one more draft token would cost.
    uint32_t width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_draft_token) const;

    /// Uses steps of this width from now on, or the widest one below it that there are draft tokens for, whatever
    /// that costs: for tests and measurements. 0: decide by what was measured.
    void fix_width(uint32_t width) { fixed_width_ = width; }

    /// What a plain step takes now, in milliseconds; 0: not known.
    double plain_ms() const { return costs_.pace_ms(); }
    /// The cost of a step of this width, in plain steps: measured, or interpolated between its measured neighbours.
    double cost(uint32_t width) const;
    /// Whether cost() rests on enough pairs to be printed.
    bool is_known(uint32_t width) const;
    double right_share(uint8_t evidence) const;
    /// What speculation has cost so far beyond plain decoding, in plain steps; negative: it gained.
    double loss() const { return loss_; }

  private:
    struct Share {
        double right = 0, tried = 0;
    };

    std::array<double, kEvidenceClasses> priors_{};
    std::array<Share, kEvidenceClasses> shares_{};
    StepCosts costs_;  // kind 0: plain; 1 + i: blocks of kWidths[i], of which the first is the plain step after a block
    uint32_t n_plain_ = 0;
    double blocks_left_ = 0;  // blocks that may still run before plain steps are due
    uint32_t fixed_width_ = 0;
    double record_ms_ = 0;  // of the last program, or expected
    bool has_recorded_ = false;
    uint32_t n_more_ = UINT32_MAX;
    uint32_t recorded_widths_ = UINT32_MAX;
    double total_ = 0;  // in plain steps, like loss_
    double loss_ = 0;
};

}  // namespace atlas
