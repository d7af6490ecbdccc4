#include "shaders/push/sample.h"

#include <algorithm>

#include "runtime/kernels/ops/vk_ops.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/select/select.h"
#include "runtime/ops/dry_ops.h"
#include "shaders/sample/arithmetic.h"

namespace atlas {

namespace {

// How the three kernels are cut. Classes: enough invocations to read a row at full bandwidth; top_k up to their number
// is found without a second look at the row. A CPU goes through everything once per workgroup, so it gets few.
struct SampleTuning {
    uint32_t n_classes = 4096;
    uint32_t class_lanes = 64;
    uint32_t n_groups = 64;  // that gather
    uint32_t lanes = 256;
    uint32_t capacity = 4096;

    uint32_t work_words() const { return 4 + n_classes + 4 * n_groups + 2 * capacity; }
};

SampleTuning choose_sample(const vk::DeviceCaps& caps) {
    SampleTuning tuning;
    if (runs_on_cpu(caps)) tuning = {.n_classes = 1024, .class_lanes = 64, .n_groups = 2, .lanes = 32};
    tuning.class_lanes = lanes_at_most(caps, tuning.class_lanes);
    tuning.lanes = lanes_at_most(caps, tuning.lanes);
    return tuning;
}

}  // namespace

void VkOps::sample(const Tensor& logits, const SampleTables& tables) {
    using namespace sampling;
    const uint32_t n_rows = logits.rows;
    ATLAS_CHECK(logits.format == Format::f32 && logits.cols <= 1u << 20, "sampling from {} logits", logits.cols);
    ATLAS_CHECK(tables.params.count == n_rows * kParamWords && tables.results.count == n_rows * kResultWords &&
                    (tables.next_tokens.count == 0 || tables.next_tokens.count == n_rows),
                "{} rows, {} words of parameters, {} of results, {} tokens", n_rows, tables.params.count,
                tables.results.count, tables.next_tokens.count);
    ATLAS_CHECK(tables.history.count == 0 || (n_rows == 1 && tables.history.count > kHistoryHead),
                "{} rows, a history of {} words", n_rows, tables.history.count);
    max_rows(logits);
    const SampleTuning tuning = choose_sample(context_.caps);
    ATLAS_CHECK(tuning.work_words() <= kSampleWorkWords, "{} words of work of {}", tuning.work_words(),
                kSampleWorkWords);
    const ScratchScope scope(*this);
    const Tensor work = scratch(n_rows, kSampleWorkWords, "sample");

    // Vulkan needs a valid binding even where it is not used.
    const bool has_history = tables.history.count > 0, has_tokens = tables.next_tokens.count > 0;
    const Bound params = bind(tables.params), results = bind(tables.results, vk::Access::write);
    const Bound work_read = bind(work, vk::Access::read), work_write = bind(work, vk::Access::read_write);
    const Bound tokens = has_tokens ? bind(tables.next_tokens, vk::Access::write) : results;
    const Bound logits_read = bind(logits, vk::Access::read);
    const Bound logits_write = has_history ? bind(logits, vk::Access::read_write) : logits_read;
    const Bound history_read = has_history ? bind(tables.history) : params;
    const Bound history_write = has_history ? bind(tables.history, vk::Access::read_write) : results;
    push::SamplePush push{.n_vocab = logits.cols,
                          .n_classes = tuning.n_classes,
                          .n_groups = tuning.n_groups,
                          .capacity = tuning.capacity,
                          .logits_at = logits_read.at,
                          .logits_stride = logits.row_stride_elems,
                          .params_at = params.at,
                          .work_at = work_read.at,
                          .work_stride = kSampleWorkWords,
                          .history_at = history_read.at,
                          .n_history = has_history ? tables.history.count - kHistoryHead : 0,
                          .tokens_at = tokens.at,
                          .has_tokens = has_tokens ? 1u : 0u,
                          .results_at = results.at};
    const double row_bytes = 4.0 * logits.cols * n_rows;
    dispatch(kernel_module(KernelFamily::sample_classes), {tuning.class_lanes},
             {logits_write.binding, params.binding, history_read.binding, work_write.binding}, push,
             {groups_for(tuning.n_classes, tuning.class_lanes), n_rows, 1}, {row_bytes, row_bytes});
    dispatch(kernel_module(KernelFamily::sample_gather), {tuning.lanes},
             {logits_read.binding, params.binding, work_write.binding}, push, {tuning.n_groups, n_rows, 1},
             {10 * row_bytes, row_bytes});
    dispatch(kernel_module(KernelFamily::sample_choose), {tuning.lanes},
             {logits_read.binding, params.binding, work_read.binding, history_write.binding, tokens.binding,
              results.binding},
             push, {n_rows, 1, 1}, {10 * row_bytes, 4 * row_bytes});
}

}  // namespace atlas
