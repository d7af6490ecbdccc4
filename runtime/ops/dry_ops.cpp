#include "runtime/ops/dry_ops.h"

#include <algorithm>
#include <limits>

namespace atlas {

DryOps::DryOps() : nowhere_(std::make_unique<Storage>("dry scratch", std::numeric_limits<uint64_t>::max())) {}
DryOps::~DryOps() = default;

void DryOps::count(double flops) {
    counts_.flops += flops;
    ++counts_.operations;
}

Tensor DryOps::scratch(uint32_t rows, uint32_t cols, std::string_view) {
    const uint64_t offset = stack_.push(uint64_t{rows} * cols * sizeof(float));
    counts_.scratch_peak_bytes = stack_.peak_bytes();
    return {nowhere_.get(), Format::f32, offset, rows, cols, cols};
}

void DryOps::get_rows(const Tensor& table, const U32View& ids, const Tensor& out) {
    ATLAS_CHECK_EQ(table.cols, out.cols);
    ATLAS_CHECK_EQ(ids.count, out.rows);
    count(0);
}

void DryOps::matmul(const Tensor& w, const Tensor& x, const Tensor& y) {
    ATLAS_CHECK_EQ(w.cols, x.cols);
    ATLAS_CHECK_EQ(w.rows, y.cols);
    ATLAS_CHECK_EQ(x.rows, y.rows);
    const uint64_t before = stack_.mark();
    stack_.push(matmul_scratch_bytes(x.rows, x.cols, y.cols));
    stack_.release(before);
    counts_.scratch_peak_bytes = stack_.peak_bytes();
    counts_.weight_bytes_read += w.rows * w.row_stride_bytes();
    count(2.0 * w.rows * w.cols * x.rows);
}

// Run as one product, the terms may take more scratch than any of them alone.
void DryOps::matmul_group(std::span<const MatmulTerm> terms, const Tensor& x) {
    Ops::matmul_group(terms, x);
    uint32_t n_out = 0;
    for (const MatmulTerm& term : terms) n_out += term.w.rows;
    const uint64_t before = stack_.mark();
    stack_.push(matmul_scratch_bytes(x.rows, x.cols, n_out));
    stack_.release(before);
    counts_.scratch_peak_bytes = stack_.peak_bytes();
}

void DryOps::rms_norm(const Tensor& x, const Tensor& gain, float, const Tensor& y) {
    ATLAS_CHECK_EQ(x.cols, y.cols);
    if (gain) ATLAS_CHECK_EQ(gain.cols, x.cols);
    count(4.0 * x.rows * x.cols);
}

void DryOps::add(const Tensor& a, const Tensor& b, const Tensor& y) {
    ATLAS_CHECK(b.rows == 1 || b.rows == a.rows, "add of {} rows to {}", b.rows, a.rows);
    ATLAS_CHECK_EQ(a.cols, b.cols);
    ATLAS_CHECK_EQ(a.rows, y.rows);
    count(1.0 * a.rows * a.cols);
}

void DryOps::gated_mul(Activation, const Tensor& gate, const Tensor& up, const Tensor& y) {
    ATLAS_CHECK(gate.cols > 0 && up.cols % gate.cols == 0, "gate of {} columns for {}", gate.cols, up.cols);
    ATLAS_CHECK_EQ(up.cols, y.cols);
    ATLAS_CHECK(gate.rows == y.rows || gate.rows == 1, "gate of {} rows for {}", gate.rows, y.rows);
    count(8.0 * y.rows * y.cols);
}

void DryOps::activate(Activation, const Tensor& x, const Tensor& y) {
    ATLAS_CHECK_EQ(x.cols, y.cols);
    ATLAS_CHECK_EQ(x.rows, y.rows);
    count(7.0 * x.rows * x.cols);
}

void DryOps::layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float, const Tensor& y) {
    ATLAS_CHECK_EQ(x.cols, y.cols);
    ATLAS_CHECK_EQ(uint64_t{gain.rows} * gain.cols, uint64_t{x.cols});
    if (bias) ATLAS_CHECK(gain.rows == 1 && bias.cols == x.cols, "a bias of {} for {} runs", bias.cols, gain.rows);
    count(7.0 * x.rows * x.cols);
}

void DryOps::scale(const Tensor& x, float, float cap, const Tensor& y) {
    ATLAS_CHECK_EQ(x.cols, y.cols);
    ATLAS_CHECK_EQ(x.rows, y.rows);
    count((cap > 0 ? 8.0 : 1.0) * x.rows * x.cols);
}

void DryOps::scale_by_position(const Tensor& x, const U32View& positions, float, uint32_t n_ctx) {
    ATLAS_CHECK(positions.count == x.rows && n_ctx > 0, "{} positions of {} rows, {}", positions.count, x.rows, n_ctx);
    count(4.0 * x.rows * x.cols);
}

void DryOps::causal_conv(const Tensor& x, const Tensor& w, const Tensor& b, bool, const StateTables& tables,
                         const Tensor& states, const Tensor& y) {
    ATLAS_CHECK_EQ(w.rows, x.cols);
    ATLAS_CHECK_EQ(y.cols, x.cols);
    ATLAS_CHECK_EQ(y.rows, x.rows);
    ATLAS_CHECK_EQ(tables.after.count, x.rows);
    if (b) ATLAS_CHECK_EQ(b.cols, x.cols);
    if (w.cols > 1) ATLAS_CHECK_EQ(states.cols, (w.cols - 1) * x.cols);
    count(2.0 * w.cols * x.rows * x.cols);
}

void DryOps::delta_net(const DeltaNetInputs& in, const DeltaNetParams& params, const StateTables& tables,
                       const Tensor& states, const Tensor& y) {
    const uint32_t d = params.head_dim;
    ATLAS_CHECK(d > 0 && d <= kLargestDeltaHead && params.n_k_heads > 0 && params.n_v_heads % params.n_k_heads == 0,
                "{} heads of values, {} of keys, of {}", params.n_v_heads, params.n_k_heads, d);
    for (const Tensor& keys : {in.q, in.k}) ATLAS_CHECK_EQ(keys.cols, params.n_k_heads * d);
    for (const Tensor& values : {in.v, y}) ATLAS_CHECK_EQ(values.cols, params.n_v_heads * d);
    for (const Tensor& of_heads : {in.alpha, in.beta, in.a, in.dt_bias}) {
        ATLAS_CHECK_EQ(of_heads.cols, params.n_v_heads);
    }
    ATLAS_CHECK_EQ(tables.after.count, y.rows);
    ATLAS_CHECK_EQ(states.cols, params.n_v_heads * d * d);
    count(8.0 * y.rows * params.n_v_heads * d * d);
}

void DryOps::state_space(const StateSpaceInputs& in, const StateSpaceParams& params, const StateTables& tables,
                         const Tensor& states, const Tensor& y) {
    ATLAS_CHECK(params.n_state > 0 && params.n_state <= kLargestDeltaHead && params.n_groups > 0 &&
                    params.n_heads % params.n_groups == 0,
                "{} heads, {} groups of {}", params.n_heads, params.n_groups, params.n_state);
    for (const Tensor& of_groups : {in.b, in.c}) ATLAS_CHECK_EQ(of_groups.cols, params.n_groups * params.n_state);
    for (const Tensor& values : {in.x, y}) ATLAS_CHECK_EQ(values.cols, params.n_heads * params.head_dim);
    for (const Tensor& of_heads : {in.dt, in.a, in.dt_bias, in.d}) ATLAS_CHECK_EQ(of_heads.cols, params.n_heads);
    ATLAS_CHECK_EQ(tables.after.count, y.rows);
    ATLAS_CHECK_EQ(states.cols, params.n_heads * params.n_state * params.head_dim);
    count(5.0 * y.rows * states.cols);
}

void DryOps::rope(const Tensor& x, const RopeParams& params, const U32View& positions, const Tensor& factors) {
    ATLAS_CHECK(params.head_dim > 0 && x.cols % params.head_dim == 0, "{} columns, heads of {}", x.cols,
                params.head_dim);
    ATLAS_CHECK_EQ(positions.count, x.rows);
    if (factors) ATLAS_CHECK_EQ(factors.cols, params.n_rot / 2);
    count(6.0 * x.rows * x.cols);
}

void DryOps::hadamard(const Tensor& x, uint32_t block) {
    ATLAS_CHECK(block > 0 && block <= 256 && (block & (block - 1)) == 0 && x.cols % block == 0,
                "{} columns in blocks of {}", x.cols, block);
    count(8.0 * x.rows * x.cols);
}

void DryOps::rotate_heads(const Tensor& x, const Tensor& w, const Tensor& shift) {
    ATLAS_CHECK(w.cols > 0 && w.cols <= kLargestRotatedHead && w.rows % w.cols == 0 && x.cols % w.rows == 0,
                "{} columns, matrices [{}, {}]", x.cols, w.rows, w.cols);
    if (shift) ATLAS_CHECK_EQ(shift.cols, w.rows);
    count(2.0 * x.rows * x.cols * w.cols);
}

void DryOps::kv_write(const Tensor& k, const Tensor& v, const KvLayer& cache, const U32View& slots) {
    ATLAS_CHECK_EQ(k.cols, cache.k.cols);
    ATLAS_CHECK_EQ(v.cols, cache.v.cols);
    ATLAS_CHECK_EQ(slots.count, k.rows);
    count(0);
}

void DryOps::kv_copy(const Tensor& from, const U32View& from_pages, const Tensor& to, const U32View& to_pages,
                     uint32_t) {
    ATLAS_CHECK_EQ(from.cols, to.cols);
    ATLAS_CHECK_EQ(from_pages.count, to_pages.count);
    count(0);
}

void DryOps::attention(const Tensor& q, const KvLayer& cache, const AttentionTables& tables,
                       const AttentionParams& params, const Tensor& y) {
    ATLAS_CHECK_EQ(q.cols, params.n_head * params.head_dim);
    ATLAS_CHECK_EQ(y.rows, q.rows);
    ATLAS_CHECK(params.n_head_kv > 0 && params.n_head % params.n_head_kv == 0, "{} heads, {} KV heads", params.n_head,
                params.n_head_kv);
    const uint64_t before = stack_.mark();
    stack_.push(attention_scratch_bytes(q.rows, params, tables.max_kv_tokens));
    stack_.release(before);
    counts_.scratch_peak_bytes = stack_.peak_bytes();
    const uint32_t keys = params.window == 0 ? tables.max_kv_tokens : std::min(tables.max_kv_tokens, params.window);
    counts_.kv_bytes_read += uint64_t{q.rows} * keys * (cache.k.row_stride_bytes() + cache.v.row_stride_bytes());
    count(2.0 * q.rows * keys * params.n_head * (params.head_dim + params.value_dim()));
}

uint32_t most_matmul_splits(uint32_t n_tokens, uint32_t n_in) {
    constexpr uint32_t kMinTokens = 25, kMinColumns = 256, kMost = 16;
    return n_tokens < kMinTokens ? 1 : std::clamp(n_in / kMinColumns, 1u, kMost);
}

uint64_t half_x_bytes(uint32_t n_tokens, uint32_t n_in) { return uint64_t{n_tokens} * half_x_cols(n_in) * 2; }

uint64_t q8_bytes(uint32_t n_tokens, uint32_t n_in) { return uint64_t{n_tokens} * (n_in / 32) * 40; }

uint64_t matmul_scratch_bytes(uint32_t n_tokens, uint32_t n_in, uint32_t n_out) {
    // Two tensors, each rounded up by the scratch stack.
    const uint64_t x_bytes = std::max(q8_bytes(n_tokens, n_in), half_x_bytes(n_tokens, n_in)) + kScratchAlignmentBytes;
    const uint64_t splits = most_matmul_splits(n_tokens, n_in);
    if (splits == 1) return x_bytes;
    return x_bytes + std::min(kMaxPartialSumBytes, splits * n_tokens * n_out * sizeof(float)) + kScratchAlignmentBytes;
}

void DryOps::sample(const Tensor& logits, const SampleTables& tables) {
    ATLAS_CHECK(tables.params.count % logits.rows == 0 && tables.results.count % logits.rows == 0,
                "{} rows, {} parameters, {} results", logits.rows, tables.params.count, tables.results.count);
    const ScratchScope scope(*this);
    scratch(logits.rows, kSampleWorkWords, "sample");
    count(8.0 * logits.rows * logits.cols);
}

// 256 workgroups fill the largest supported card twice; a split of under 128 keys does not pay for its combine pass.
// Keys are dealt to the splits round-robin, 128 at a time, whatever the length: which keys are added up together, and
// in which order, then depends only on their positions, not on how many keys a step was recorded for. With fewer keys
// the last splits are just absent.
AttentionSplits attention_splits(uint32_t n_tokens, const AttentionParams& params, uint32_t max_kv_tokens) {
    constexpr uint32_t kEnoughWorkgroups = 256;
    constexpr uint32_t kChunkKeys = 128;
    constexpr uint32_t kMostSplits = 64;
    constexpr uint32_t kRowsPerWorkgroup = 32;
    const auto divided = [](uint64_t n, uint64_t by) { return static_cast<uint32_t>((n + by - 1) / by); };
    const uint32_t blocks = n_tokens <= kBatchInvariantWidth
                                ? 1
                                : divided(uint64_t{n_tokens} * params.n_head / params.n_head_kv, kRowsPerWorkgroup);
    const uint32_t wanted =
        std::clamp(divided(kEnoughWorkgroups, uint64_t{blocks} * params.n_head_kv), 1u, kMostSplits);
    const bool windowed = params.window != 0 && params.window < max_kv_tokens;
    const uint32_t keys = std::max(1u, windowed ? params.window : max_kv_tokens);
    return {std::min(divided(keys, kChunkKeys) + (windowed ? 1 : 0), wanted), kChunkKeys};
}

uint64_t attention_scratch_bytes(uint32_t n_tokens, const AttentionParams& params, uint32_t max_kv_tokens) {
    const auto bytes = [&](uint32_t tokens) {
        const uint64_t splits = attention_splits(tokens, params, max_kv_tokens).n;  // more keys never have fewer splits
        return splits == 1 ? 0 : splits * tokens * params.n_head * (params.value_dim() + 2) * sizeof(float);
    };
    // Slow devices split an attention of many tokens into several of few.
    return std::max(bytes(n_tokens), bytes(std::min(n_tokens, kBatchInvariantWidth)));
}

}  // namespace atlas
