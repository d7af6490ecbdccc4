#pragma once
// One attention call on both sides: random pages, several sequences with a shared prefix, every parameter of the
// contract.

#include <numeric>

#include "runtime/kernels/select/attention_variant.h"
#include "tests/kernels/cache_twin.h"

namespace atlas::test {

struct AttentionCase {
    uint32_t n_head = 1, n_head_kv = 1, head_dim = 64, value_dim = 0;
    KvFormats kv = Format::f32;
    uint32_t page_tokens = 32;
    uint32_t max_kv_tokens = 320;
    uint32_t window = 0;
    float softcap = 0;
    bool sinks = false;
    bool values_of_keys = false;  // the values are the first value_dim columns of the keys' rows
    uint32_t shared = 0;  // positions that all sequences share; a multiple of page_tokens. With one sequence: all are
};

struct AttentionToken {
    uint32_t seq = 0;
    uint32_t n_keys = 1;
};

inline std::vector<AttentionToken> one_sequence(uint32_t n_tokens, uint32_t last_n_keys) {
    std::vector<AttentionToken> tokens(n_tokens);
    for (uint32_t t = 0; t < n_tokens; ++t) tokens[t].n_keys = last_n_keys - n_tokens + 1 + t;
    return tokens;
}

/// Every token is a sequence of its own, in falling order, with key counts all over.
inline std::vector<AttentionToken> own_sequences(uint32_t n_tokens, uint32_t most_keys, uint32_t least_keys = 1) {
    std::vector<AttentionToken> tokens(n_tokens);
    for (uint32_t t = 0; t < n_tokens; ++t)
        tokens[t] = {n_tokens - 1 - t, least_keys + (t * 97) % (most_keys - least_keys + 1)};
    return tokens;
}

class AttentionTest : public KernelTest {
  protected:
    /// The operands of a case, filled; the run is up to the test.
    struct Operands {
        std::unique_ptr<CacheTwin> k, v;
        std::unique_ptr<Twin> q, y, positions, seqs, table, shared, sinks;
        uint32_t max_pages = 0;

        AttentionTables tables(Side side, uint32_t max_kv_tokens) const {
            return {positions->ids(side), seqs->ids(side),  table->ids(side), max_pages,
                    max_kv_tokens,        shared->ids(side)};
        }
    };

    static AttentionParams params_of(const AttentionCase& c) {
        AttentionParams p{c.n_head, c.n_head_kv, c.head_dim, 1.0f / std::sqrt(float(c.head_dim))};
        p.v_head_dim = c.value_dim;
        p.window = c.window;
        p.softcap = c.softcap;
        return p;
    }

    static AttentionShape shape_of(const AttentionCase& c, uint32_t n_tokens) {
        return {.head_dim = c.head_dim,
                .value_dim = params_of(c).value_dim(),
                .heads_per_kv = c.n_head / c.n_head_kv,
                .n_head_kv = c.n_head_kv,
                .n_tokens = n_tokens,
                .max_kv_tokens = c.max_kv_tokens,
                .page_tokens = c.page_tokens,
                .formats = c.kv};
    }
    /// Takes the kernel without matrices that is a CPU's or, on the backend tuned for GPUs, a graphics card's.
    static void prefer_scalar(VkBackend& vk, const AttentionShape& shape) {
        std::vector<AttentionVariant> found;
        if (&vk != &backend(true)) offer_attention_rows(vk.caps(), shape, found);
        offer_attention_keys(vk.caps(), shape, found);
        vk.choices().preferred[tuning_key(shape)] = found.front().name();
        ASSERT_EQ(choose_attention(vk.caps(), vk.choices(), shape).name(), found.front().name());
    }

    Operands make(VkBackend& vk, const AttentionCase& c, const std::vector<AttentionToken>& tokens) {
        const auto n = static_cast<uint32_t>(tokens.size());
        uint32_t n_seqs = 1;
        for (const AttentionToken& token : tokens) n_seqs = std::max(n_seqs, token.seq + 1);
        const uint32_t v_dim = params_of(c).value_dim(),
                       max_pages = (c.max_kv_tokens + c.page_tokens - 1) / c.page_tokens;
        const uint32_t n_pages = n_seqs * max_pages + 3;  // some pages are free
        Operands o;
        o.max_pages = max_pages;
        o.k = std::make_unique<CacheTwin>(vk, c.kv.k, n_pages * c.page_tokens, c.n_head_kv * c.head_dim);
        o.v = std::make_unique<CacheTwin>(vk, c.kv.v, n_pages * c.page_tokens, c.n_head_kv * v_dim);
        o.q = std::make_unique<Twin>(vk, Format::f32, n, c.n_head * c.head_dim);
        o.y = std::make_unique<Twin>(vk, Format::f32, n, c.n_head * v_dim);
        o.sinks = std::make_unique<Twin>(vk, Format::f32, 1, c.n_head);
        for (auto* list : {&o.positions, &o.seqs}) *list = std::make_unique<Twin>(vk, Format::f32, 1, n);
        o.table = std::make_unique<Twin>(vk, Format::f32, 1, n_seqs * max_pages);
        o.shared = std::make_unique<Twin>(vk, Format::f32, 1, 1);
        o.q->randomize(random_, -3, 3);
        fill_cache(*o.k);
        fill_cache(*o.v);
        o.sinks->randomize(random_, -2, 4);
        std::vector<uint32_t> at(n), seq(n), pages(n_pages);
        for (uint32_t t = 0; t < n; ++t) {
            at[t] = tokens[t].n_keys - 1;
            seq[t] = tokens[t].seq;
        }
        std::iota(pages.begin(), pages.end(), 0u);
        std::shuffle(pages.begin(), pages.end(), random_);
        for (uint32_t s = 1; s < n_seqs; ++s)
            std::copy_n(pages.begin(), c.shared / c.page_tokens, pages.begin() + s * max_pages);
        pages.resize(n_seqs * max_pages);
        o.positions->integers(at);
        o.seqs->integers(seq);
        o.table->integers(pages);
        o.shared->integers({n_seqs == 1 ? UINT32_MAX : c.shared});
        return o;
    }

    /// Random values of at most 1. Rows of blocks are copies of a few, because the codecs search long for their scales.
    void fill_cache(CacheTwin& cache) {
        const Tensor view = cache.on(Side::host);
        if (info(view.format).block_elems == 1) {
            cache.randomize(random_);
            return;
        }
        std::vector<std::vector<float>> few(7, std::vector<float>(view.cols));
        std::uniform_real_distribution<float> values(-1, 1);
        const uint64_t bytes = bytes_of(view.format, view.cols);
        auto* memory = dynamic_cast<HostStorage*>(view.storage)->data() + view.offset_bytes;
        for (uint32_t r = 0; r < view.rows; ++r) {
            if (r < few.size()) {
                for (float& value : few[r]) value = values(random_);
                write_row(view, r, few[r]);
            } else {
                std::memcpy(memory + r * bytes, memory + random_() % few.size() * bytes, bytes);
            }
        }
    }

    void run(VkBackend& vk, const AttentionCase& c, Operands& o) {
        run_both(
            vk,
            {o.k.get(), o.v.get(), o.q.get(), o.y.get(), o.positions.get(), o.seqs.get(), o.table.get(), o.shared.get(),
             o.sinks.get()},
            [&](Ops& ops, Side side) {
                AttentionParams p = params_of(c);
                if (c.sinks) p.sinks = o.sinks->on(side);
                const Tensor k = o.k->on(side);
                const Tensor v = c.values_of_keys ? k.col_range(0, p.value_dim()) : o.v->on(side);
                ops.attention(o.q->on(side), {k, v, c.page_tokens}, o.tables(side, c.max_kv_tokens), p, o.y->on(side));
            });
    }

    void check(VkBackend& vk, const AttentionCase& c, const std::vector<AttentionToken>& tokens) {
        SCOPED_TRACE(
            fmt::format("{} heads, {} KV, of {}:{}, {}:{} KV, {} tokens, {} keys of {}, pages of {}, window {}, cap "
                        "{}, sinks {}, shared {}",
                        c.n_head, c.n_head_kv, c.head_dim, params_of(c).value_dim(), info(c.kv.k).name,
                        info(c.kv.v).name, tokens.size(), tokens.back().n_keys, c.max_kv_tokens, c.page_tokens,
                        c.window, c.softcap, c.sinks, c.shared));
        prefer_scalar(vk, shape_of(c, uint32_t(tokens.size())));
        Operands o = make(vk, c, tokens);
        run(vk, c, o);
        // A score is a sum of head_dim products, |k| <= 1; its error is a relative error of its weight, as are exp's 3
        // units and more, the soft cap's tanh (an error of a few units of the cap) and the roundings of two sums over
        // the keys. The result is a mean of values of about 1 at most.
        const AttentionParams p = params_of(c);
        std::vector<float> row;
        uint32_t row_is = UINT32_MAX;
        o.y->expect_near(
            [&](uint32_t t, uint32_t col, double) {
                if (row_is != t) row = read_row(o.q->on(Side::host), row_is = t);
                double score = 0;
                for (uint32_t i = 0; i < c.head_dim; ++i)
                    score += std::abs(row[col / p.value_dim() * c.head_dim + i]) * p.scale;
                return 2 * kUlp *
                       ((4 + std::sqrt(double(c.head_dim))) * score + 4 * c.softcap + 16 +
                        2 * std::sqrt(double(tokens[t].n_keys)));
            },
            "y");
    }
};

}  // namespace atlas::test
