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

Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags,
                                            const SpeculationFlags& speculation, const RunnerShape& wish,
                                            uint32_t draft_contexts) {
    RunnerShape shape = wish;
    ATLAS_TRY(auto draft_tokens, make_batch_speculation(speculation, open, shape.max_timelines, draft_contexts));
    shape.max_outputs = draft_tokens ? std::max(shape.max_timelines, kBatchInvariantWidth) : shape.max_timelines;
    if (flags.pool_tokens > 0) {
        shape.pool_tokens = flags.pool_tokens;
        return Engine::create(open.model, shape, std::move(draft_tokens));
    }
    // As many whole contexts as there are places, or as many as fit; a request that finds no page waits.
    for (uint32_t contexts = shape.max_timelines;; contexts = (contexts + 1) / 2) {
        shape.pool_tokens = contexts * shape.n_ctx;
        auto runner = StepRunner::create(open.model, shape);
        if (!runner && is_too_large(runner.error()) && contexts > 1) continue;
        if (!runner) return tl::unexpected(runner.error());
        return Engine::create(std::move(*runner), std::move(draft_tokens));
    }
}

// Places in the steps.
uint32_t places(const BatchFlags& flags, size_t n_prompts) {
    return static_cast<uint32_t>(std::clamp<size_t>(n_prompts, 1, flags.parallel));
}

}  // namespace

SessionShape engine_shape(const BatchFlags& flags, const SpeculationFlags& speculation, size_t n_prompts) {
    SessionShape shape;
    shape.n_ctx = flags.pool_tokens;
    shape.max_timelines = places(flags, n_prompts);
    shape.max_outputs =
        rows_for(speculation) > 1 ? std::max(shape.max_timelines, kBatchInvariantWidth) : shape.max_timelines;
    shape.n_batch = batch_for(shape.max_timelines);
    return shape;
}

Result<std::unique_ptr<Engine>> make_engine(const OpenModel& open, const BatchFlags& flags,
                                            const SpeculationFlags& speculation, size_t n_prompts) {
    RunnerShape shape;
    shape.kv_format = open.kv;
    shape.n_ctx = open.n_ctx;
    shape.max_timelines = places(flags, n_prompts);
    shape.n_batch = batch_for(shape.max_timelines);
    for (uint32_t draft_contexts = std::min(shape.max_timelines, kDraftContexts);; draft_contexts /= 2) {
        auto engine = make_engine(open, flags, speculation, shape, draft_contexts);
        if (engine || !open.draft_file || draft_contexts <= 1 || !is_too_large(engine.error())) return engine;
    }
}

}  // namespace atlas::tools
