#pragma once
// Decides how many draft tokens to verify at once, from measurements: the time of steps of every size, and acceptance.

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "runtime/session/speculation/speculator.h"
#include "runtime/session/speculation/step_costs.h"

namespace atlas {

/// For the draft tokens of one sequence or of many in the same steps. Pure: knows no clock and no device. A step has
/// as many columns as tokens: one of each sequence, and the draft tokens after them. Costs are counted in plain steps,
/// those without draft tokens, by medians of pairs of neighbouring steps (StepCosts): other programs that slow the
/// machine down for a while change no decision.
///
/// Speculation may lose at most 1 % of what was spent so far and one and a half plain steps, and never more than 2 %
/// of an answer whose longest length is known (look_ahead). Every block, the recording of its program included, is
/// booked against what its tokens would have cost in plain steps, and a block whose failure would exceed that limit
/// is not run. Gains are booked too.
class DraftLength {
  public:
    /// Sizes of steps of one sequence: few, so that few programs are recorded; at most kBatchInvariantWidth. Steps of
    /// many sequences are padded to step_size_bucket() columns.
    static constexpr std::array<uint32_t, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 24};

    /// `priors`: [kEvidenceClasses] the expected acceptance of each class before anything was measured.
    /// `unit_columns`: the size of the steps that costs are counted in; none: the size that runs first.
    explicit DraftLength(std::span<const double> priors, std::optional<uint32_t> unit_columns = 1);

    /// A step of n_sequences and n_columns - n_sequences draft tokens took `ms`, and draft_ms more to make its draft
    /// tokens, and produced n_tokens tokens. Where there are no draft tokens, it followed another plain step.
    void step_took(uint32_t n_sequences, uint32_t n_columns, uint32_t n_tokens, double ms, double draft_ms = 0);
    /// The same for the plain step of one sequence that followed a block.
    void resuming_took(double ms, double draft_ms = 0);
    /// A step was recorded for a width that had no program here.
    void recording_took(double ms);
    /// How long recording is expected to take, judged by the first plain step; used until a width was recorded.
    void expect_recording(double ms);
    /// How many tokens may follow at most, and which of kWidths have a program (bit i: kWidths[i]). Holds until the
    /// next call. A width without a program is tried only where the tokens that follow can pay for its recording.
    void look_ahead(uint32_t n_more, uint32_t recorded_widths);
    /// A draft token whose predecessors were all accepted was accepted too, or rejected.
    void draft_was(uint8_t evidence, bool right);

    /// How many draft tokens of each sequence to verify, at most `room` in all: the most tokens per time. Those that
    /// are likeliest to be reached and accepted go first. None where no draft token pays, or the cost of a step
    /// without them is not known yet. `ms_per_draft_token`: what making one of them would cost.
    std::vector<uint32_t> counts(std::span<const Proposal> of_sequences, uint32_t room) const;
    /// The same for one sequence: the number of tokens of the step, one of kWidths, at most evidence.size() + 1 and
    /// `most`. `ms_per_draft_token`: what making one more draft token would cost.
    uint32_t width_for(std::span<const uint8_t> evidence, uint32_t most, double ms_per_draft_token) const;
    /// How many draft tokens per sequence a draft model should make that takes `ms_per_round` for one draft token of
    /// each of `n_asking` of the sequences.
    uint32_t rounds(uint32_t n_sequences, uint32_t n_asking, uint32_t room, double ms_per_round) const;

    /// Uses steps of this many columns from now on, or the largest below it that there are draft tokens for, whatever
    /// that costs: for tests and measurements. 0: decide by what was measured.
    void fix_width(uint32_t width) { fixed_width_ = width; }

    /// What a step of the unit's size takes now, in milliseconds; 0: not known.
    double pace_ms() const { return costs_.pace_ms(); }
    /// The cost of a step of this many columns: measured, or interpolated between its measured neighbours; 0: nothing
    /// was measured.
    double cost(uint32_t n_columns) const;
    /// Of the plain step after a block.
    double resuming_cost() const;
    /// Whether such a cost rests on enough pairs to be printed.
    bool is_known(uint32_t n_columns) const;
    bool is_resuming_known() const;
    double right_share(uint8_t evidence) const;
    /// What speculation has cost so far beyond plain decoding, in steps; negative: it gained.
    double loss() const { return loss_; }

  private:
    struct Share {
        double right = 0, tried = 0;
    };
    /// What a step without draft tokens costs, and what one with them may.
    struct Limits {
        uint32_t n_sequences = 0;
        double plain = 0;  // its cost
        double per_token = 0;
        double may_lose = 0;
        uint32_t widest = 0;  // columns
    };
    bool may_draft(uint32_t n_sequences) const;
    Limits limits(uint32_t n_sequences) const;
    bool may_run(uint32_t n_columns, const Limits& limits, double spent, double tokens) const;
    void choose(std::span<const std::span<const uint8_t>> evidence, uint32_t room, double ms_per_draft_token,
                std::span<uint32_t> best) const;

    std::array<double, kEvidenceClasses> priors_{};
    std::array<Share, kEvidenceClasses> shares_{};
    StepCosts costs_;  // kind 0: the plain step after a block; n: steps of n columns
    uint32_t n_plain_ = 0;
    double blocks_left_ = 0;  // blocks that may still run before plain steps are due
    uint32_t fixed_width_ = 0;
    double record_ms_ = 0;  // of the last program, or expected
    bool has_recorded_ = false;
    uint32_t n_more_ = UINT32_MAX;
    uint32_t recorded_widths_ = UINT32_MAX;
    double total_ = 0;  // in steps of the unit's size, like loss_
    double loss_ = 0;
};

}  // namespace atlas
