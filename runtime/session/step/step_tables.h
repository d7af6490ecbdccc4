#pragma once
// The storages that a step reads its words from and leaves its results in.

#include <array>
#include <memory>
#include <span>
#include <vector>

#include "runtime/model/load.h"
#include "runtime/session/cache/timeline.h"
#include "runtime/session/sampler.h"
#include "runtime/session/speculation/speculator.h"

namespace atlas {

/// How the device chooses from a row of logits: sample_params().
using ChoiceParams = std::array<uint32_t, sampling::kParamWords>;

/// What the device leaves for a row; words as in shaders/sample/arithmetic.h.
using ChoiceResult = std::array<uint32_t, sampling::kResultWords>;

/// A token that the device chose.
struct Choice {
    TokenId token = 0;
    double logprob = 0;  // natural logarithm of its probability at temperature 1, after penalties; 0 unless requested
};

/// Tokens to append to a timeline in a step. The step returns the logits of the last n_outputs of them, or the tokens
/// that the device chooses from those logits.
struct StepItem {
    Timeline* timeline = nullptr;  // of the runner's pool; at most once in a step
    std::span<const TokenId> tokens;
    uint32_t n_outputs = 0;
    std::span<const ChoiceParams> choices = {};  // [n_outputs], or empty: logits
    uint32_t n_drafted = 0;  // more tokens, after `tokens`: the device writes them (StepRunner::draft_place)

    uint32_t n_tokens() const { return static_cast<uint32_t>(tokens.size()) + n_drafted; }
};

/// Steps read their words from different places, so that the host can write those of one while another one runs.
enum class StepPlace : uint8_t {
    here,     // any step; one at a time
    ahead_a,  // steps of one token of each timeline that run one ahead of the host, by turns
    ahead_b,
    drafts,  // steps of one token that draft for another runner's step, one place for each word of that step
};

/// What a recorded step depends on; everything else lies in the tables.
struct StepKey {
    uint32_t n_tokens = 0;       // 0: no pass; a choice from the last row of logits that is there
    uint32_t n_outputs = 0;      // rows of logits
    uint32_t max_kv_tokens = 0;  // attention reads up to this many keys
    StepPlace place = StepPlace::here;
    bool chooses = false;    // from every row; without a pass from the last one
    bool feeds = false;      // its choices are the tokens of the step after it
    bool continues = false;  // its tokens are such choices; otherwise the host's
    uint32_t n_history = 0;  // tokens that penalties look at; then there is one row
    // of StepPlace::drafts
    uint32_t word = 0;         // the choice goes there; the step's token is the word before it
    uint32_t n_known_ids = 0;  // chooses among ids below this
    std::shared_ptr<Storage> words = nullptr;
    bool operator==(const StepKey&) const = default;
};

class StepTables {
  public:
    StepTables() = default;
    /// Allocates what step_storages and output_storages list. Fails: out_of_memory.
    static Result<StepTables> create(Backend& backend, const ModelConfig& config, const StepSizes& sizes);

    StepViews views(const StepKey& key) const;
    /// f32 [n_rows, n_vocab]
    Tensor logits(uint32_t n_rows) const { return dense(*logits_, Format::f32, n_rows, n_vocab_); }
    SampleTables choices(const StepKey& key) const;

    /// Writes tokens, positions, cache rows and output rows of a step, and which pages the timelines have. Where there
    /// are fewer tokens than the key says, the last one is repeated to the bit: it writes the same values to the same
    /// places.
    void write(std::span<const StepItem> items, const StepKey& key);
    /// [n] of the rows that the step chooses from.
    void write_choices(const StepKey& key, std::span<const ChoiceParams> params);
    /// The same for the drafting steps of words [first, first + n), the first of which only chooses: the others run the
    /// tokens at positions n_past and up.
    void write_drafts(Timeline& timeline, uint32_t n_past, uint32_t first, uint32_t n);
    /// The ring of tokens that the penalties of steps ahead look at.
    void write_history(std::span<const uint32_t> words);

    void read_logits(uint32_t first_row, std::span<float> rows) const;
    /// [n] results of the rows from first_row on.
    void read_results(StepPlace place, uint32_t first_row, std::span<ChoiceResult> results) const;
    /// Fails: corrupt (damaged logits).
    Result<Choice> choice_of(const ChoiceResult& result) const;

    /// Of the last write: the first row of each item's outputs.
    std::span<const uint32_t> first_rows() const { return first_row_; }
    /// Of the last write: how many positions from the start all timelines read from the same pages.
    uint32_t shared_positions() const { return shared_positions_; }
    DraftPlace draft_place(uint32_t n_known) const { return {backend_, step_, n_known}; }

  private:
    struct At {
        Storage* storage = nullptr;
        uint64_t bytes = 0;
    };
    struct Place {
        At words;
        uint32_t capacity = 0;  // tokens
        At params;
    };
    Place place_of(const StepKey& key) const;
    At results_of(StepPlace place, uint32_t row) const;
    void write_pages(std::span<const StepItem> items);
    void write_windows(std::span<const StepItem> items);
    void write_states(std::span<const StepItem> items, const StepKey& key);
    uint64_t window_words_at(const StepKey& key) const;

    Backend* backend_ = nullptr;
    StepSizes sizes_;
    uint32_t n_vocab_ = 0, max_pages_ = 0;
    bool has_states_ = false;
    std::shared_ptr<Storage> step_;  // runners that draft for this one write into it
    std::unique_ptr<Storage> pages_, choice_params_, choice_results_, logits_;
    std::array<std::unique_ptr<Storage>, 2> ahead_;
    std::unique_ptr<Storage> ahead_state_, ahead_results_;

    std::vector<uint32_t> words_, state_words_;  // of the last write
    // [max_timelines, max_pages] what their storage holds, one after the other
    std::vector<uint32_t> page_table_, window_table_;
    std::vector<uint32_t> window_words_;
    std::vector<uint32_t> first_row_;
    uint32_t shared_positions_ = UINT32_MAX;
    std::array<uint32_t, 3> shared_there_{};  // what the places' storages hold
};

/// How many positions from the start all of these timelines read from the same pages. Whole pages.
uint32_t positions_in_common(std::span<const StepItem> items);

}  // namespace atlas
