#include "bench/every_kernel.h"

#include "runtime/ops/dry_ops.h"
#include "shaders/sample/arithmetic.h"

namespace atlas::bench {

namespace {

constexpr uint32_t kWidths[] = {1, 8, 24, 64, 512};  // decode, two verify steps, a short and a whole chunk of a prompt
constexpr uint32_t kHeadDims[] = {64, 128, 256};
constexpr uint32_t kHeadsPerKv[] = {8,
                                    4};  // as many rows as attention without matrices takes at most, and half of them

/// Views of storages that have a size but no memory.
class Views {
  public:
    explicit Views(PlanBackend& backend) : backend_(backend) {}
    Tensor tensor(Format format, uint32_t rows, uint32_t cols, Layout layout = Layout::blocks) {
        const uint64_t padding = rows * kKvAlignmentBytes;  // a cache row may be padded
        const uint64_t bytes = stored_bytes(format, layout, uint64_t{rows} * cols);
        storages_.push_back(*backend_.allocate(MemoryUse::weights, bytes + padding, "view"));
        return dense(*storages_.back(), format, rows, cols, 0, layout);
    }
    Tensor f32(uint32_t rows, uint32_t cols) { return tensor(Format::f32, rows, cols); }
    U32View numbers(uint32_t count) {
        storages_.push_back(*backend_.allocate(MemoryUse::step, count * 4, "numbers"));
        return {storages_.back().get(), 0, count};
    }

  private:
    PlanBackend& backend_;
    std::vector<std::unique_ptr<Storage>> storages_;
};

Result<void> plan(PlanBackend& backend, std::string_view name, const std::function<void(Ops&)>& pass) {
    DryOps counted;
    pass(counted);
    ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
    ATLAS_TRY(auto program, backend.record(name, pass));
    (void)program;
    return {};
}

Result<void> plan_fused_matmuls(PlanBackend& backend, Format format, Layout layout, uint32_t n_tokens) {
    constexpr uint32_t kIn = 4096, kOut = 4096;
    Views views(backend);
    const Tensor x = views.f32(n_tokens, kIn), bias = views.f32(1, kOut);
    const auto term = [&](uint32_t n_out, const Tensor& b) {
        return MatmulTerm{views.tensor(format, n_out, kIn, layout), b, views.f32(n_tokens, n_out)};
    };
    const MatmulTerm q = term(kOut, bias), k = term(1024, {}), v = term(1024, {});
    const Tensor pair = views.tensor(format, 2 * kOut, kIn, layout);  // side by side, as a model's are
    const MatmulTerm gate{pair.row_range(0, kOut), {}, {}}, up{pair.row_range(kOut, kOut), {}, {}};
    const std::vector<MatmulTerm> group = {q, k, v};
    return plan(backend, "fused products", [&](Ops& ops) {
        ops.matmul_add(q.w, x, q.b, q.y);
        ops.matmul_group(group, x);
        ops.matmul_gated(Activation::silu, gate, up, x, q.y);
    });
}

Result<void> plan_experts(PlanBackend& backend, Format format, Layout layout, uint32_t n_tokens) {
    constexpr uint32_t kIn = 2048, kFf = 1024, kExperts = 16, kUsed = 4;
    Views views(backend);
    const Tensor logits = views.f32(n_tokens, kExperts), routes = views.f32(n_tokens, 2 * kUsed);
    const Tensor x = views.f32(n_tokens, kIn), inner = views.f32(n_tokens * kUsed, kFf), y = views.f32(n_tokens, kIn);
    const Tensor pair = views.tensor(format, 2 * kExperts * kFf, kIn, layout);
    const ExpertMatrices gate{pair.row_range(0, kExperts * kFf), {}, {}, kFf, 0, kFf},
        up{pair.row_range(kExperts * kFf, kExperts * kFf), {}, {}, kFf, 0, kFf},
        down{views.tensor(format, kExperts * kIn, kFf, layout), {}, {}, kIn, 0, kIn};
    return plan(backend, "experts", [&](Ops& ops) {
        ops.route(logits, {}, {.n_used = kUsed, .normalized = true}, routes);
        ops.experts_up(Activation::silu, gate, up, x, routes, inner);
        ops.experts_down(down, inner, routes, y);
    });
}

Result<void> plan_attention(PlanBackend& backend, Format k_format, Format v_format, uint32_t head_dim,
                            uint32_t heads_per_kv, uint32_t n_tokens) {
    constexpr uint32_t kHeadsKv = 2, kPageTokens = 32, kContext = 4096;
    const uint32_t n_head = kHeadsKv * heads_per_kv;
    Views views(backend);
    KvLayer cache{views.tensor(k_format, kContext, kHeadsKv * head_dim),
                  views.tensor(v_format, kContext, kHeadsKv * head_dim), kPageTokens};
    AttentionTables tables{views.numbers(n_tokens), views.numbers(n_tokens), views.numbers(kContext / kPageTokens),
                           kContext / kPageTokens, kContext};
    const AttentionParams params{.n_head = n_head, .n_head_kv = kHeadsKv, .head_dim = head_dim, .scale = 0.1f};
    const Tensor q = views.f32(n_tokens, n_head * head_dim), y = views.f32(n_tokens, n_head * head_dim);
    const Tensor k = views.f32(n_tokens, kHeadsKv * head_dim), v = views.f32(n_tokens, kHeadsKv * head_dim);
    const Tensor matrices = views.f32(kHeadsKv * head_dim, head_dim), shift = views.f32(1, kHeadsKv * head_dim);
    const U32View slots = views.numbers(n_tokens);
    RopeParams rope{.head_dim = head_dim, .n_rot = head_dim};
    return plan(backend, "attention", [&](Ops& ops) {
        ops.hadamard(q, hadamard_block(head_dim));
        if (head_dim <= kLargestRotatedHead) ops.rotate_heads(q, matrices, shift);
        ops.kv_write(k, v, cache, slots);
        for (const auto pairing : {RopeParams::Pairing::adjacent, RopeParams::Pairing::halves}) {
            rope.pairing = pairing;
            ops.rope_kv_write(q, k, v, rope, tables.positions, {}, cache, slots);
        }
        KvLayer turned = cache;
        turned.rotate_k = turned.rotate_v = true;
        ops.rope_kv_write(q, k, v, rope, tables.positions, {}, turned, slots);
        if (head_dim > kLargestRotatedHead) return ops.attention(q, cache, tables, params, y);
        turned.fitted_k = {matrices, shift, matrices, matrices};
        turned.fitted_v = {matrices, {}, matrices, matrices};
        ops.rope_kv_write(q, k, v, rope, tables.positions, {}, turned, slots);
        ops.kv_copy(cache.k, views.numbers(2), cache.k, views.numbers(2), kPageTokens);
        ops.attention(q, cache, tables, params, y);
    });
}

// Keys and values of one format, each format that a cache may have.
Result<void> plan_all_attention(PlanBackend& backend) {
    for (const Format format : kKvFormats) {
        for (const uint32_t head_dim : kHeadDims) {
            for (const uint32_t heads : kHeadsPerKv) {
                for (const uint32_t n_tokens : kWidths)
                    ATLAS_TRY_VOID(plan_attention(backend, format, format, head_dim, heads, n_tokens));
            }
        }
    }
    constexpr uint32_t kLargestHead = 512, kHeads = 8;  // of Gemma 4
    for (const Format format : {Format::f16, Format::q8_0}) {
        for (const uint32_t n_tokens : kWidths)
            ATLAS_TRY_VOID(plan_attention(backend, format, format, kLargestHead, kHeads, n_tokens));
    }
    return {};
}

Result<void> plan_small_operations(PlanBackend& backend, uint32_t cols) {
    Views views(backend);
    const Tensor a = views.f32(8, cols), b = views.f32(8, cols), y = views.f32(8, cols), gain = views.f32(1, cols),
                 sum = views.f32(8, cols);
    const U32View positions = views.numbers(8);
    const RopeParams rope{.head_dim = 64, .n_rot = 64};
    const Tensor logits = views.f32(1, 32000);
    const SampleTables tables{views.numbers(sampling::kParamWords), views.numbers(sampling::kHistoryHead + 64),
                              views.numbers(1), views.numbers(sampling::kResultWords)};
    return plan(backend, "small operations", [&](Ops& ops) {
        ops.rms_norm(a, gain, 1e-5f, y);
        ops.add_rms_norm(a, b, gain, 1e-5f, sum, y);
        ops.add(a, b, y);
        ops.rms_norm(a, {}, 1e-5f, y);
        ops.layer_norm(a, gain, gain, 1e-5f, y);
        for (const Activation activation :
             {Activation::silu, Activation::gelu_tanh, Activation::relu_squared, Activation::sigmoid,
              Activation::softplus, Activation::silu_clamped, Activation::none})
            ops.gated_mul(activation, a, b, y);
        for (const Activation activation : {Activation::gelu_tanh, Activation::relu_squared})
            ops.activate(activation, a, y);
        ops.scale(a, 0.5f, 30.0f, y);
        ops.scale_by_position(a, positions, 0.1f, 8192);
        ops.rope(a, rope, positions, {});
        ops.sample(logits, tables);
    });
}

Result<void> plan_recurrent_layers(PlanBackend& backend, uint32_t head_dim) {
    constexpr uint32_t kTokens = 24, kKeyHeads = 2, kValueHeads = 4, kWidth = 4;
    const uint32_t k_width = kKeyHeads * head_dim, v_width = kValueHeads * head_dim, channels = 2 * k_width + v_width;
    Views views(backend);
    const StateTables tables{views.numbers(kTokens), views.numbers(kTokens), views.numbers(1), views.numbers(kTokens)};
    const Tensor x = views.f32(kTokens, channels), y = views.f32(kTokens, channels), w = views.f32(channels, kWidth);
    const Tensor inputs = views.f32(kTokens + 1, (kWidth - 1) * channels), of_heads = views.f32(kTokens, kValueHeads);
    const Tensor states = views.f32(kTokens + 1, v_width * head_dim), values = views.f32(kTokens, v_width);
    const Tensor row = views.f32(1, kValueHeads);
    return plan(backend, "recurrent layers", [&](Ops& ops) {
        ops.causal_conv(x, w, {}, true, tables, inputs, y);
        ops.delta_net({y.col_range(0, k_width), y.col_range(k_width, k_width), y.col_range(2 * k_width, v_width),
                       of_heads, of_heads, row, row},
                      {.n_k_heads = kKeyHeads, .n_v_heads = kValueHeads, .head_dim = head_dim, .eps = 1e-6f}, tables,
                      states, values);
        ops.state_space({y.col_range(0, k_width), y.col_range(k_width, k_width), y.col_range(2 * k_width, v_width),
                         of_heads, row, row, row},
                        {.n_groups = kKeyHeads, .n_heads = kValueHeads, .n_state = head_dim, .head_dim = head_dim},
                        tables, states, values);
    });
}

}  // namespace

// Prefers one candidate after another, so that VkOps plans each, with the kernels that it needs before and after.
Result<void> plan_matmul_variants(PlanBackend& backend, const vk::DeviceCaps& caps, const MatmulShape& shape) {
    Views views(backend);
    const Tensor w = views.tensor(shape.weight, shape.n_out, shape.n_in, shape.layout);
    const Tensor x = views.f32(shape.n_tokens, shape.n_in), y = views.f32(shape.n_tokens, shape.n_out);
    const KernelChoices before = backend.choices();
    for (const MatmulVariant& variant : matmul_candidates(caps, shape)) {
        backend.choices() = {};
        backend.choices().preferred[tuning_key(shape)] = variant.name();
        ATLAS_TRY_VOID(plan(backend, variant.name(), [&](Ops& ops) { ops.matmul(w, x, y); }));
    }
    backend.choices() = before;
    return {};
}

namespace {

Result<void> plan_weights(PlanBackend& backend, const vk::DeviceCaps& caps, Format format, Layout layout) {
    for (const uint32_t n_tokens : kWidths) {
        ATLAS_TRY_VOID(plan_matmul_variants(backend, caps, {format, 4096, 4096, n_tokens, layout}));
        ATLAS_TRY_VOID(
            plan_matmul_variants(backend, caps, {format, 1024, 4096, n_tokens, layout}));  // few rows: k and v
        ATLAS_TRY_VOID(plan_fused_matmuls(backend, format, layout, n_tokens));
        ATLAS_TRY_VOID(plan_experts(backend, format, layout, n_tokens));
    }
    Views views(backend);
    const Tensor table = views.tensor(format, 1000, 4096, layout), rows = views.f32(8, 4096);
    const U32View ids = views.numbers(8);
    return plan(backend, "rows", [&](Ops& ops) { ops.get_rows(table, ids, rows); });
}

}  // namespace

Result<void> plan_every_kernel(PlanBackend& backend, const vk::DeviceCaps& caps) {
    for (size_t i = 0; i < kFormats.size(); ++i) {
        const auto format = static_cast<Format>(i);
        ATLAS_TRY_VOID(plan_weights(backend, caps, format, choose_layout(caps, format)));
    }
    ATLAS_TRY_VOID(plan_all_attention(backend));
    for (const uint32_t head_dim : kHeadDims) ATLAS_TRY_VOID(plan_recurrent_layers(backend, head_dim));
    for (const uint32_t cols : {896u, 4096u}) ATLAS_TRY_VOID(plan_small_operations(backend, cols));
    return {};
}

}  // namespace atlas::bench
