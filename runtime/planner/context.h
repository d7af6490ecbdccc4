#pragma once
// How much context a model file gets on a device: the requested length if it fits, else an error that says what would
// fit; without a request, what fits comfortably.

#include <string>

#include "runtime/model/file_plan.h"
#include "runtime/planner/catalogue.h"

namespace atlas {

struct ContextWish {
    SessionShape shape;                 // n_ctx 0: as much as fits comfortably
    uint64_t keep_free_bytes = 0;       // left to others, besides the driver's margin
    bool shared_memory = false;         // the device's memory is the system's own
    const gguf::File* draft = nullptr;  // loaded beside it: both must fit, see draft_session
};

struct ContextChoice {
    MemoryPlan plan;
    uint32_t n_ctx_native = 0;
    uint64_t draft_bytes = 0;      // what the draft adds
    uint64_t left_free_bytes = 0;  // of what is available
};

/// The session of a draft beside a target with this context and cache: as long a context, at most the draft's own; the
/// same formats where its heads allow them, else f16; for as many timelines per step.
SessionShape draft_session(const ModelConfig& draft, uint32_t n_ctx, const KvFormats& kv, uint32_t n_timelines = 1);
/// Most tokens per step where n_timelines decode: their tokens, and room for prefill.
uint32_t batch_for(uint32_t n_timelines);

/// Without a request, what fits comfortably is:
/// - on a card with memory of its own: the largest context that leaves a sixteenth of the card's memory free, at most
///   1 GiB, besides the margin that the budget keeps: room for a browser window. Idle memory is of no use there.
/// - where memory is the system's own: the largest whose session takes at most a sixteenth of what is available, but
/// not
///   less than 8192 tokens: memory that we take there is missing elsewhere, and clearing it takes time.
/// - never more than the model was made for; where these rules leave less than 8192 tokens, as many of the 8192 as fit
///   at all.
/// With a draft, as much as both have room for. Reads nothing but the file's header.
/// Fails: what a plan refuses; out_of_memory with the numbers and what fits instead: a shorter context, quantized
/// caches, a smaller model of the catalogue.
Result<ContextChoice> choose_context(const gguf::File& file, const Backend& backend, const ContextWish& wish,
                                     const Catalogue& catalogue);

/// "context 32768 of 131072 tokens, f16 cache 4.00 GiB, 1.02 GiB left free".
std::string describe(const ContextChoice& choice, const KvFormats& kv);

}  // namespace atlas
