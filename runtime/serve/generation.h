#pragma once
// From a prompt's tokens to an answer's text: the loop that run, chat and a server share.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/session/sampler.h"
#include "runtime/session/single/session.h"
#include "runtime/session/speculation/speculation.h"
#include "runtime/text/tokenizer.h"

namespace atlas {

struct GenerateOptions {
    SamplerOptions sampler;
    uint32_t max_tokens = 0;  // limit for the answer; 0: until the model stops or the context is full
    std::vector<std::string> stop_strings;
    std::stop_token stop;
    /// Let the device choose the tokens, one step ahead of the host, where it can. The text is the same either way.
    bool choose_on_device = true;
    /// Proposes draft tokens; null: no speculation. The text is the same either way. The session's max_outputs bounds
    /// the draft tokens per step.
    Speculators* speculation = nullptr;
    /// Called with the tokens of the answer so far when the context fills up in the middle of an answer. Returns a
    /// shorter prompt to continue with (prompt and answer must leave room for more tokens), or an empty one to end
    /// the answer. Absent: the answer ends.
    std::function<Result<std::vector<TokenId>>(std::span<const TokenId> answer)> make_room = {};
};

enum class FinishReason {
    end_of_generation,  // the model chose an end token
    stop_string,
    max_tokens,
    context_full,
    cancelled,  // the answer so far is kept
};

struct GenerateReport {
    FinishReason finish = FinishReason::end_of_generation;
    uint32_t prompt_tokens = 0;
    uint32_t reused_tokens = 0;  // of the prompt: found in the cache
    uint32_t answer_tokens = 0;  // without the token that ended it
    double prefill_ms = 0;
    double decode_ms = 0;
    double kernels_ms = 0;  // of these, compiling kernels; set by a caller that observes the backend
    std::string text;
    std::optional<SpeculationFigures> speculation;

    double prefill_tokens_per_s() const;  // of the tokens that were not reused
    double decode_tokens_per_s() const;
};

/// Brings the session to `prompt` and generates from there. `emit` gets the text piece by piece: whole characters,
/// never part of a stop string. `progress` is called after every prefill chunk. Afterwards the session holds prompt
/// and answer.
/// Fails: limit (prompt longer than the context), invalid_argument (empty prompt, sampler options), device_lost,
/// cancelled (during prefill).
Result<GenerateReport> generate(Session& session, const std::shared_ptr<const Tokenizer>& tokenizer,
                                std::span<const TokenId> prompt, const GenerateOptions& options,
                                const std::function<void(std::string_view)>& emit,
                                const std::function<void(uint32_t done_tokens, uint32_t total_tokens)>& progress = {});

}  // namespace atlas
