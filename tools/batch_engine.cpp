#include "tools/batch_engine.h"

#include <algorithm>

#include "runtime/planner/context.h"

namespace atlas::tools {

namespace {

// The most contexts in the draft's pool: a request that finds no page there gets no draft tokens from it.
constexpr uint32_t kDraftContexts = 4;

bool is_too_large(const Error& error) {
    return error.code == ErrorCode::out_of_memory || error.code == ErrorCode::limit;
}

// `shape`: its pool is chosen here where it has none.
Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const SpeculationFlags& speculation,
                                            SessionShape shape, uint32_t draft_contexts) {
    ATLAS_TRY(auto draft_tokens, make_batch_speculation(speculation, open, shape.max_timelines, draft_contexts));
    if (shape.pool_tokens > 0) return Engine::create(open.model, shape, std::move(draft_tokens));
    // As many whole contexts as there are places, or as many as fit; a request that finds no page waits.
    for (uint32_t contexts = shape.max_timelines;; contexts = (contexts + 1) / 2) {
        shape.pool_tokens = contexts * shape.n_ctx;
        auto runner = StepRunner::create(open.model, shape);
        if (!runner && is_too_large(runner.error()) && contexts > 1) continue;
        if (!runner) return tl::unexpected(runner.error());
        return Engine::create(std::move(*runner), std::move(draft_tokens));
    }
}

}  // namespace

SessionShape engine_shape(const BatchFlags& flags, const SpeculationFlags& speculation, size_t n_prompts) {
    SessionShape shape;
    shape.pool_tokens = flags.pool_tokens;
    shape.max_timelines = static_cast<uint32_t>(std::clamp<size_t>(n_prompts, 1, flags.parallel));
    shape.max_outputs =
        rows_for(speculation) > 1 ? std::max(shape.max_timelines, kBatchInvariantWidth) : shape.max_timelines;
    shape.n_batch = batch_for(shape.max_timelines);
    return shape;
}

Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags,
                                            const SpeculationFlags& speculation, size_t n_prompts) {
    SessionShape shape = engine_shape(flags, speculation, n_prompts);
    shape.kv_format = open.kv;
    shape.n_ctx = open.n_ctx;
    shape.max_checkpoints = open.max_checkpoints;
    for (uint32_t draft_contexts = std::min(shape.max_timelines, kDraftContexts);; draft_contexts /= 2) {
        auto engine = make_engine(open, speculation, shape, draft_contexts);
        if (engine || !open.draft_file || draft_contexts <= 1 || !is_too_large(engine.error())) return engine;
    }
}

}  // namespace atlas::tools
