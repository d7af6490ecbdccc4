#include "runtime/model/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "runtime/model/limits.h"
#include "runtime/model/weight_places.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

constexpr uint32_t kMaxBatch = 1u << 16;

uint32_t whole_pages(uint32_t n_tokens) { return pages_for(n_tokens) * kPageTokens; }

class Planner {
  public:
    Planner(const PlanInput& input, const SessionShape& shape)
        : input_(input),
          shape_(shape),
          states_(state_counts(input.config, shape)),
          nowhere_("dry", std::numeric_limits<uint64_t>::max()) {
        const auto storages = storages_of(input.weights, input.max_storage_bytes);
        weights_bytes_ = sum_of(storages);
        largest_bytes_ = storages.empty() ? 0 : *std::max_element(storages.begin(), storages.end());
        weights_ = assemble_weights(input.config, input.weights, [&](const ResolvedWeight& w) {
            return Tensor{&nowhere_, w.format, 0, w.rows, w.cols, w.cols, w.layout};
        });
    }

    MemoryPlan at(uint32_t n_ctx) {
        MemoryPlan plan;
        plan.n_ctx = whole_pages(n_ctx);
        plan.weights_bytes = weights_bytes_;
        auto cache = kv_storages(input_.config, kv_rows(input_.config, shape_, plan.n_ctx), shape_.kv_format);
        for (const uint64_t bytes : state_storages(input_.config, states_.n_slots)) cache.push_back(bytes);
        plan.kv_bytes = sum_of(cache);
        plan.scratch_bytes = storage_bytes(scratch_peak(plan.n_ctx));
        const StepSizes sizes = step_sizes(input_.config, shape_, plan.n_ctx);
        plan.step_bytes = sum_of(step_storages(sizes));
        plan.output_bytes = sum_of(output_storages(input_.config, sizes));
        plan.other_bytes = input_.overhead_bytes;
        plan.largest_storage_bytes = largest_bytes_;
        for (const uint64_t bytes : cache) plan.largest_storage_bytes = std::max(plan.largest_storage_bytes, bytes);
        return plan;
    }

  private:
    uint64_t scratch_of(uint32_t n_tokens, uint32_t n_ctx) {
        const ModelConfig& c = input_.config;
        const auto view = [&](uint32_t count) { return U32View{&nowhere_, 0, count}; };
        const uint32_t n_outputs = std::min(n_tokens, shape_.max_outputs);
        std::vector<KvLayer> kv;
        std::vector<Tensor> states;
        const KvRows rows = kv_rows(c, shape_, n_ctx);
        for (const LayerConfig& layer : c.layers) {
            const CacheShape cache = layer.cache();
            const auto n_state = static_cast<uint32_t>(cache.state_bytes / sizeof(float));
            states.push_back({&nowhere_, Format::f32, 0, states_.n_slots, n_state, n_state});
            kv.push_back({{&nowhere_, shape_.kv_format.k, 0, rows.of(cache), cache.k_width, cache.k_width},
                          {&nowhere_, shape_.kv_format.v, 0, rows.of(cache), cache.v_width, cache.v_width},
                          kPageTokens,
                          shape_.kv_format.rotate_k,
                          shape_.kv_format.rotate_v});
        }
        const uint32_t longest = step_sizes(c, shape_, n_ctx).timeline_tokens, n_pages = pages_for(longest);
        StepViews step{view(n_tokens), view(n_tokens), view(n_tokens), view(n_tokens), view(n_pages), view(n_outputs)};
        step.window_slots = view(n_tokens);
        step.window_table = view(n_pages);
        step.max_pages = n_pages;
        step.max_kv_tokens = longest;
        step.shared_positions = view(1);
        step.state_before = view(shape_.max_timelines);
        step.state_after = view(n_tokens);
        DryOps ops;
        const Tensor logits{&nowhere_, Format::f32, 0, n_outputs, c.n_vocab, c.n_vocab};
        input_.forward({c, weights_, kv, step, logits, states}, ops);
        // after a pass, which has released all its scratch; one timeline has no more rows than a verify step
        const uint32_t n_chosen = shape_.max_timelines > 1 ? n_outputs : std::min(n_outputs, kBatchInvariantWidth);
        ops.scratch(n_chosen, kSampleWorkWords, "sample");
        return ops.counts().scratch_peak_bytes;
    }

    // Attention splits the keys in steps of few tokens, so the peak is not at the largest step: every small step is
    // counted.
    uint64_t scratch_peak(uint32_t n_ctx) {
        constexpr uint32_t kMostTokensThatSplit = 256;
        uint64_t peak = scratch_of(shape_.n_batch, n_ctx);
        for (uint32_t n = 1; n <= std::min(shape_.n_batch, kMostTokensThatSplit); ++n)
            peak = std::max(peak, scratch_of(n, n_ctx));
        return peak;
    }

    const PlanInput& input_;
    const SessionShape& shape_;
    const StateCounts states_;
    Storage nowhere_;
    Weights weights_;
    uint64_t weights_bytes_ = 0;
    uint64_t largest_bytes_ = 0;  // of their storages
};

}  // namespace

Result<void> check_shape(const ModelConfig& config, const SessionShape& shape) {
    if (const uint32_t most = std::max(shape.n_ctx, shape.pool_tokens); most > kMaxContext) {
        return fail(ErrorCode::invalid_argument, "context of {} tokens: at most {} are possible", most, kMaxContext);
    }
    if (shape.n_batch < 1 || shape.n_batch > kMaxBatch) {
        return fail(ErrorCode::invalid_argument, "batch of {} tokens: expected 1 .. {}", shape.n_batch, kMaxBatch);
    }
    if (shape.max_outputs < 1 || shape.max_outputs > shape.n_batch) {
        return fail(ErrorCode::invalid_argument, "{} outputs per step: expected 1 .. {} (the batch)", shape.max_outputs,
                    shape.n_batch);
    }
    if (shape.max_timelines < 1 || shape.max_timelines > shape.n_batch) {
        return fail(ErrorCode::invalid_argument, "{} timelines per step: expected 1 .. {} (the batch)",
                    shape.max_timelines, shape.n_batch);
    }
    for (const Format format : {shape.kv_format.k, shape.kv_format.v}) {
        const FormatInfo& f = info(format);
        if (!is_kv_format(format)) {
            return fail(ErrorCode::invalid_argument,
                        "KV cache of {}: expected f32, f16, bf16, q8_0, q5_1, q5_0, q4_1 or q4_0", f.name);
        }
        for (const LayerConfig& layer : config.layers) {
            const CacheShape cache = layer.cache();
            const uint32_t head = cache.k_head % f.block_elems != 0 ? cache.k_head : cache.v_head;
            if (head % f.block_elems == 0) continue;
            return fail(ErrorCode::invalid_argument,
                        "KV cache of {}: its blocks of {} do not fit this model's heads of {}; take f16", f.name,
                        f.block_elems, head);
        }
    }
    return {};
}

uint64_t sum_of(std::span<const uint64_t> storages) {
    return std::accumulate(storages.begin(), storages.end(), uint64_t{0});
}

uint64_t kv_side_bytes(uint32_t width, uint32_t n_ctx, Format format) {
    return uint64_t{whole_pages(n_ctx)} * kv_row_bytes(format, width);
}

std::vector<uint64_t> storages_of(std::span<const ResolvedWeight> weights, uint64_t max_storage_bytes) {
    std::vector<uint64_t> storages;
    for (const WeightPlaces::Piece& piece : place_weights(weights, max_storage_bytes).storages)
        storages.push_back(storage_bytes(piece.bytes));
    return storages;
}

uint32_t window_slots(uint32_t window, const SessionShape& shape, uint32_t n_pages) {
    // A window begins and ends within a page.
    const uint64_t of_timelines = uint64_t{shape.max_timelines} * (pages_for(window) + 2);
    return static_cast<uint32_t>(
        std::min<uint64_t>(n_pages, of_timelines + pages_for(shape.n_batch) + pages_for(shape.checkpoint_every)));
}

KvRows kv_rows(const ModelConfig& config, const SessionShape& shape, uint32_t capacity) {
    KvRows rows{whole_pages(capacity), 0};
    if (const uint32_t window = widest_window(config); window > 0)
        rows.of_windows = window_slots(window, shape, pages_for(capacity)) * kPageTokens;
    return rows;
}

std::vector<uint64_t> kv_storages(const ModelConfig& config, const KvRows& rows, const KvFormats& formats) {
    std::vector<uint64_t> storages;
    for (const LayerConfig& layer : config.layers) {
        const CacheShape cache = layer.cache();
        const uint32_t n = rows.of(cache);
        if (cache.k_width > 0) storages.push_back(storage_bytes(kv_side_bytes(cache.k_width, n, formats.k)));
        if (cache.v_width > 0) storages.push_back(storage_bytes(kv_side_bytes(cache.v_width, n, formats.v)));
    }
    return storages;
}

StateCounts state_counts(const ModelConfig& config, const SessionShape& shape) {
    constexpr uint64_t kMostBytesOfRows = uint64_t{1} << 30, kMostBytesOfCheckpoints = uint64_t{512} << 20;
    constexpr uint64_t kLeastRows = 4, kLeastCheckpoints = 2, kMostCheckpoints = 8;
    uint64_t bytes = 0;
    for (const LayerConfig& layer : config.layers) bytes += layer.cache().state_bytes;
    StateCounts counts;
    counts.n_rows = std::min(shape.max_outputs, kBatchInvariantWidth);
    if (bytes == 0) return counts;
    const uint64_t rows = std::max(kLeastRows, kMostBytesOfRows / bytes);
    counts.n_rows = static_cast<uint32_t>(std::min<uint64_t>(counts.n_rows, rows));
    const uint64_t checkpoints = std::clamp(kMostBytesOfCheckpoints / bytes, kLeastCheckpoints, kMostCheckpoints);
    counts.n_checkpoints = shape.max_checkpoints.value_or(static_cast<uint32_t>(checkpoints));
    counts.n_slots = 1 + 2 * shape.max_timelines + counts.n_rows + counts.n_checkpoints;
    return counts;
}

std::vector<uint64_t> state_storages(const ModelConfig& config, uint32_t n_slots) {
    std::vector<uint64_t> storages;
    for (const LayerConfig& layer : config.layers) {
        const uint64_t bytes = layer.cache().state_bytes;
        if (bytes > 0) storages.push_back(storage_bytes(n_slots * bytes));
    }
    return storages;
}

StepSizes step_sizes(const ModelConfig& config, const SessionShape& shape, uint32_t capacity) {
    const bool is_shorter = shape.pool_tokens > 0 && shape.n_ctx > 0;
    const uint32_t longest = is_shorter ? std::min(shape.n_ctx, capacity) : capacity;
    return {whole_pages(longest), shape.n_batch, shape.max_outputs, shape.max_timelines, widest_window(config) > 0};
}

std::vector<uint64_t> step_storages(const StepSizes& s) {
    const uint64_t page_table =
        uint64_t{s.max_timelines} * pages_for(s.timeline_tokens) * sizeof(uint32_t) * (s.has_windows ? 2 : 1);
    const uint64_t ahead = ahead_params_at(s) + s.max_timelines * kChoiceParamBytes;
    return {storage_bytes(kPageCopyBytes),
            storage_bytes(step_buffer_bytes(s.n_batch, s.max_timelines)),
            storage_bytes(page_table),
            storage_bytes(ahead),
            storage_bytes(ahead),
            storage_bytes(history_at(s) + (2 + kMaxHistory) * sizeof(uint32_t)),
            storage_bytes(drafts_at(s) + kBatchInvariantWidth * kDraftWordsBytes)};
}

std::vector<uint64_t> output_storages(const ModelConfig& config, const StepSizes& s) {
    return {storage_bytes(uint64_t{s.max_outputs} * config.n_vocab * sizeof(float)),
            storage_bytes(2 * ahead_results_bytes(s)), storage_bytes(choice_rows(s) * kChoiceResultBytes)};
}

MemoryPlan together(const MemoryPlan& a, const MemoryPlan& b) {
    MemoryPlan both = a;
    both.weights_bytes += b.weights_bytes;
    both.kv_bytes += b.kv_bytes;
    both.step_bytes += b.step_bytes;
    both.output_bytes += b.output_bytes;
    both.scratch_bytes = std::max(a.scratch_bytes, b.scratch_bytes);
    both.other_bytes += b.other_bytes;
    both.largest_storage_bytes = std::max(a.largest_storage_bytes, b.largest_storage_bytes);
    return both;
}

Result<MemoryPlan> plan_memory(const PlanInput& input, const SessionShape& shape) {
    ATLAS_TRY_VOID(check_shape(input.config, shape));
    return Planner(input, shape).at(shape.capacity() == 0 ? input.config.n_ctx_train : shape.capacity());
}

}  // namespace atlas
