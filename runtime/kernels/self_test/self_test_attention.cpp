#include "runtime/kernels/self_test/self_test_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/kernels/self_test/self_test_random.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {

namespace {

constexpr uint32_t kMostKeys = 300;
constexpr uint32_t kMostTokens = 4;  // that the CPU computes

/// Half a step of the format for numbers in [-1, 1): what storing them may change.
double half_step(Format format) {
    switch (format) {
        case Format::f32:
            return 0x1p-24;
        case Format::f16:
            return 0x1p-11;
        case Format::bf16:
            return 0x1p-8;
        case Format::q8_0:
            return 1.0 / 127 / 2;
        case Format::q5_1:
        case Format::q5_0:
            return 1.0 / 15 / 2;
        default:
            return 1.0 / 7 / 2;
    }
}

/// Everything of one case on both sides.
struct Case {
    AttentionShape shape;
    AttentionParams params;
    std::vector<float> q, k, v, y;
    std::vector<uint32_t> numbers;  // positions, sequences, slots, page table
    uint32_t n_keys = 0;

    explicit Case(const AttentionShape& wanted) : shape(wanted) {
        const uint32_t n_head = shape.n_head_kv * shape.heads_per_kv;
        params = {.n_head = n_head,
                  .n_head_kv = shape.n_head_kv,
                  .head_dim = shape.head_dim,
                  .scale = 1.0f / std::sqrt(float(shape.head_dim)),
                  .v_head_dim = shape.value_dim};
        n_keys = shape.max_kv_tokens;
        SelfTestRandom random;
        const auto fill = [&](std::vector<float>& to, uint64_t count) {
            to.resize(count);
            for (float& value : to) value = random.next();
        };
        fill(q, uint64_t{shape.n_tokens} * n_head * shape.head_dim);
        fill(k, uint64_t{n_keys} * shape.n_head_kv * shape.head_dim);
        fill(v, uint64_t{n_keys} * shape.n_head_kv * shape.value_dim);
        y.assign(uint64_t{shape.n_tokens} * n_head * shape.value_dim, std::numeric_limits<float>::quiet_NaN());
        for (uint32_t t = 0; t < shape.n_tokens; ++t) numbers.push_back(position(t));
        numbers.resize(2ull * shape.n_tokens, 0);
        for (uint32_t i = 0; i < n_keys; ++i)
            numbers.push_back(i / shape.page_tokens * shape.page_tokens + i % shape.page_tokens);
        for (uint32_t page = 0; page < n_pages(); ++page) numbers.push_back(page);
    }
    uint32_t n_pages() const { return (n_keys + shape.page_tokens - 1) / shape.page_tokens; }
    uint32_t position(uint32_t t) const { return n_keys - shape.n_tokens + t; }
};

double compare_head(const Case& c, uint32_t t, uint32_t h) {
    const uint32_t kv_head = h / c.shape.heads_per_kv, n_seen = c.position(t) + 1;
    const float* q = c.q.data() + (uint64_t{t} * c.params.n_head + h) * c.shape.head_dim;
    std::vector<double> weight(n_seen);
    double largest = -std::numeric_limits<double>::infinity(), sum = 0, q_size = 0;
    for (uint32_t i = 0; i < c.shape.head_dim; ++i) q_size += double(q[i]) * q[i];
    for (uint32_t p = 0; p < n_seen; ++p) {
        const float* k = c.k.data() + (uint64_t{p} * c.shape.n_head_kv + kv_head) * c.shape.head_dim;
        double score = 0;
        for (uint32_t i = 0; i < c.shape.head_dim; ++i) score += double(q[i]) * k[i];
        weight[p] = score * c.params.scale;
        largest = std::max(largest, weight[p]);
    }
    for (double& w : weight) sum += w = std::exp(w - largest);
    // Rounding changes keys and values by random parts of a step. Weighted, they add up like a random walk, of which
    // six deviations are allowed; a changed key moves a score, and that a weight, by as much.
    double squares = 0;
    for (const double w : weight) squares += w / sum * (w / sum);
    const double score_step = 2 * c.params.scale * std::sqrt(q_size) * (half_step(c.shape.formats.k) + 2 * 0x1p-11);
    const double limit = 6 * std::sqrt(squares) * (half_step(c.shape.formats.v) + score_step) + 4 * 0x1p-11;
    double worst = 0;
    for (uint32_t d = 0; d < c.shape.value_dim; ++d) {
        double expected = 0;
        for (uint32_t p = 0; p < n_seen; ++p) {
            expected += weight[p] / sum * c.v[(uint64_t{p} * c.shape.n_head_kv + kv_head) * c.shape.value_dim + d];
        }
        const double error = std::abs(c.y[(uint64_t{t} * c.params.n_head + h) * c.shape.value_dim + d] - expected);
        worst = std::max(worst, error <= 1e9 ? error / limit : std::numeric_limits<double>::infinity());
    }
    return worst;
}

/// Storages on the device, kept for as long as a case runs.
class Device {
  public:
    explicit Device(Backend& backend) : backend_(backend) {}
    Result<Storage*> take(std::span<const std::byte> bytes, MemoryUse use = MemoryUse::output) {
        ATLAS_TRY(storages_.emplace_back(), backend_.allocate(use, bytes.size(), "self-test"));
        backend_.write(*storages_.back(), 0, bytes);
        return storages_.back().get();
    }
    Result<Storage*> take_zeros(uint64_t bytes) {
        ATLAS_TRY(storages_.emplace_back(), backend_.allocate(MemoryUse::kv, bytes, "self-test"));
        return storages_.back().get();
    }

  private:
    Backend& backend_;
    std::vector<std::unique_ptr<Storage>> storages_;
};

Result<void> run(Backend& backend, Case& c) {
    const AttentionShape& s = c.shape;
    const uint32_t n_rows = c.n_pages() * s.page_tokens, k_width = s.n_head_kv * s.head_dim,
                   v_width = s.n_head_kv * s.value_dim;
    Device device(backend);
    ATLAS_TRY(Storage * q, device.take(std::as_bytes(std::span(c.q))));
    ATLAS_TRY(Storage * k, device.take(std::as_bytes(std::span(c.k))));
    ATLAS_TRY(Storage * v, device.take(std::as_bytes(std::span(c.v))));
    ATLAS_TRY(Storage * y, device.take(std::as_bytes(std::span(c.y))));
    ATLAS_TRY(Storage * numbers, device.take(std::as_bytes(std::span(c.numbers))));
    ATLAS_TRY(Storage * k_cache, device.take_zeros(n_rows * kv_row_bytes(s.formats.k, k_width)));
    ATLAS_TRY(Storage * v_cache, device.take_zeros(n_rows * kv_row_bytes(s.formats.v, v_width)));
    const KvLayer cache{dense(*k_cache, s.formats.k, n_rows, k_width), dense(*v_cache, s.formats.v, n_rows, v_width),
                        s.page_tokens};
    const auto view = [&](uint64_t first, uint32_t count) { return U32View{numbers, first * 4, count}; };
    const AttentionTables tables{view(0, s.n_tokens), view(s.n_tokens, s.n_tokens),
                                 view(2ull * s.n_tokens + c.n_keys, c.n_pages()), c.n_pages(), c.n_keys};
    const auto pass = [&](Ops& ops) {
        ops.kv_write(dense(*k, Format::f32, c.n_keys, k_width), dense(*v, Format::f32, c.n_keys, v_width), cache,
                     view(2ull * s.n_tokens, c.n_keys));
        ops.attention(dense(*q, Format::f32, s.n_tokens, c.params.n_head * s.head_dim), cache, tables, c.params,
                      dense(*y, Format::f32, s.n_tokens, c.params.n_head * s.value_dim));
    };
    DryOps counted;
    pass(counted);
    ATLAS_TRY_VOID(backend.reserve_scratch(counted.counts().scratch_peak_bytes));
    ATLAS_TRY(const auto program, backend.record("self-test", pass));
    ATLAS_TRY_VOID(backend.run(*program));
    backend.read(*y, 0, std::as_writable_bytes(std::span(c.y)));
    return {};
}

}  // namespace

AttentionShape self_test_shape(const AttentionUse& use) {
    AttentionShape small = use.shape;
    small.n_head_kv = std::min(use.shape.n_head_kv, 2u);
    // A whole workgroup of queries and one token more.
    small.n_tokens = std::min(use.shape.n_tokens, use.variant.rows / std::max(1u, use.shape.heads_per_kv) + 2);
    small.max_kv_tokens = std::max(std::min(use.shape.max_kv_tokens, kMostKeys), small.n_tokens);
    return small;
}

Result<double> attention_error(Backend& backend, const AttentionShape& shape) {
    Case c(shape);
    ATLAS_TRY_VOID(run(backend, c));
    double worst = 0;
    const uint32_t n_compared = std::min(shape.n_tokens, kMostTokens);
    for (uint32_t i = 0; i < n_compared; ++i) {
        const uint32_t t = n_compared == 1 ? 0 : uint32_t(uint64_t{i} * (shape.n_tokens - 1) / (n_compared - 1));
        for (uint32_t h = 0; h < c.params.n_head; ++h) worst = std::max(worst, compare_head(c, t, h));
    }
    return worst;
}

}  // namespace atlas
