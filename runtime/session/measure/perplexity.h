#pragma once
// Measures how well a model predicts a text, and how far it is from another model on the same text.
//
// The text is cut into chunks of n_ctx tokens, each run from an empty context. In each chunk the tokens n_ctx / 2 + 1
// .. n_ctx - 1 are scored, so that every scored token has at least half a context before it. Where the model wants a
// BOS it replaces a chunk's first token. These are llama-perplexity's rules: figures of the same chunks can be
// compared.

#include <functional>
#include <optional>
#include <stop_token>

#include "runtime/session/measure/kl_base.h"
#include "runtime/session/single/session.h"

namespace atlas {

struct PerplexityOptions {
    uint32_t n_ctx = 512;                  // tokens per chunk, at least 4 and at most the session's context
    uint32_t max_chunks = 0;               // 0: as many as the text fills
    std::optional<TokenId> bos = {};       // the first token of each chunk
    std::filesystem::path save_base = {};  // file for this model's log probabilities; empty: none
    // compare with this: its chunks are run; n_ctx, max_chunks and the text's tokens are ignored
    const KlBase* base = nullptr;
    std::stop_token stop = {};
    std::function<void(uint32_t done_chunks, uint32_t n_chunks, double perplexity)> progress = {};
};

/// Kullback-Leibler divergence of this model's distributions from the base's, in nats per token.
struct Divergence {
    double mean = 0;
    double mean_error = 0;  // its standard error
    double median = 0;
    double percentile_99 = 0;
    double max = 0;
    double same_top = 0;         // share of tokens whose most likely continuation is the same as the base's
    double base_perplexity = 0;  // of the same tokens, from the file
};

struct PerplexityResult {
    uint32_t n_chunks = 0;
    uint64_t n_scored = 0;
    double perplexity = 0;
    double perplexity_error = 0;  // standard error: of the mean log probability, carried through exp
    std::optional<Divergence> divergence;
};

/// Runs the chunks of `tokens` (or of options.base) on `session`. The session's n_batch and max_outputs bound the
/// size of its steps; results depend on them only through rounding.
/// Fails: limit (a chunk longer than the context), invalid_argument (text shorter than two chunks would be; a base of
/// another vocabulary), corrupt (the base), io, cancelled, device_lost.
Result<PerplexityResult> measure_perplexity(Session& session, std::span<const TokenId> tokens,
                                            const PerplexityOptions& options);

}  // namespace atlas
