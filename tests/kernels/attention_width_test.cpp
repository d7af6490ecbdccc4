// Attention is batch-invariant: a token's result does not depend, to the bit, on how many tokens are in its step, on
// the sequences of the others, or on how many keys the step was recorded for. Speculative decoding and batches rely on
// it.
#include <cstring>

#include "runtime/kernels/select/attention_variant.h"
#include "tests/kernels/attention_case.h"

namespace atlas::test {
namespace {

class AttentionWidths : public AttentionTest {
  protected:
    using Rows = std::vector<std::vector<float>>;

    /// The results of tokens first .. first + n - 1, run in one step that was recorded for max_kv_tokens keys.
    Rows run_step(VkBackend& vk, const AttentionCase& c, Operands& o, uint32_t first, uint32_t n,
                  uint32_t max_kv_tokens) {
        const auto pass = [&](Ops& ops, Side side) {
            AttentionParams p = params_of(c);
            if (c.sinks) p.sinks = o.sinks->on(side);
            AttentionTables tables = o.tables(side, max_kv_tokens);
            for (U32View* list : {&tables.positions, &tables.seqs})
                *list = {list->storage, list->offset_bytes + first * 4, n};
            ops.attention(o.q->on(side).row_range(first, n), {o.k->on(side), o.v->on(side), c.page_tokens}, tables, p,
                          o.y->on(side).row_range(first, n));
        };
        DryOps counted;
        pass(counted, Side::host);
        EXPECT_TRUE(vk.reserve_scratch(counted.counts().scratch_peak_bytes));
        o.y->to_device();
        const auto program = vk.record("step", [&](Ops& ops) { pass(ops, Side::device); });
        EXPECT_TRUE(program && vk.run(**program));
        o.y->from_device();
        Rows rows;
        for (uint32_t t = first; t < first + n; ++t) rows.push_back(o.y->device_row(t));
        return rows;
    }

    void check_widths(VkBackend& vk, const AttentionCase& c, const std::vector<AttentionToken>& tokens) {
        const auto n_tokens = static_cast<uint32_t>(tokens.size());
        ASSERT_EQ(n_tokens, kBatchInvariantWidth);
        prefer_scalar(vk, shape_of(c, 1));
        Operands o = make(vk, c, tokens);
        for (Twin* twin : std::initializer_list<Twin*>{o.k.get(), o.v.get(), o.q.get(), o.positions.get(), o.seqs.get(),
                                                       o.table.get(), o.shared.get(), o.sinks.get()}) {
            twin->to_device();
        }
        Rows single;  // each recorded for as many keys as it needs, in powers of two, as sessions do
        for (uint32_t t = 0; t < n_tokens; ++t) {
            const uint32_t keys = std::min(c.max_kv_tokens, std::max(256u, std::bit_ceil(tokens[t].n_keys)));
            single.push_back(run_step(vk, c, o, t, 1, keys).front());
        }
        for (const uint32_t n : {1u, 2u, 3u, 7u, 8u, 9u, 16u, 24u}) {
            for (uint32_t first = 0; first < n_tokens; first += n) {
                const Rows rows = run_step(vk, c, o, first, std::min(n, n_tokens - first), c.max_kv_tokens);
                for (uint32_t i = 0; i < rows.size(); ++i) {
                    const bool same =
                        std::memcmp(rows[i].data(), single[first + i].data(), rows[i].size() * sizeof(float)) == 0;
                    ASSERT_TRUE(same) << "token " << first + i << " in a step of " << rows.size() << ", "
                                      << tokens[first + i].n_keys << " keys, " << c.n_head << " heads, " << c.n_head_kv
                                      << " KV, " << info(c.kv.k).name << ", window " << c.window;
                    ASSERT_FALSE(std::isnan(rows[i][0]));
                }
            }
        }
    }
};

TEST_F(AttentionWidths, ShortAndSplitRangesOfKeys) {
    for (const bool gpu : {false, true}) {
        for (const Format kv : {Format::f16, Format::q8_0, Format::q4_0}) {
            AttentionCase c{.n_head = 6, .n_head_kv = 2, .head_dim = 32, .kv = kv, .max_kv_tokens = 256};
            check_widths(backend(gpu), c, one_sequence(24, 24));
            check_widths(backend(gpu), c, one_sequence(24, 140));  // the second chunk begins inside
            c.max_kv_tokens = 2048;
            check_widths(backend(gpu), c, one_sequence(24, 1034));  // and a power of two
        }
    }
}

TEST_F(AttentionWidths, MoreChunksThanSplits) {
    // 32 KV heads: 8 splits of 128 keys; from 1024 keys on each takes several. Steps recorded for 2048 and for 4096
    // keys.
    for (const bool gpu : {false, true}) {
        const AttentionCase c{.n_head = 32, .n_head_kv = 32, .head_dim = 8, .kv = Format::f16, .max_kv_tokens = 4096};
        ASSERT_EQ(attention_splits(1, params_of(c), 4096).n, 8u);
        check_widths(backend(gpu), c, one_sequence(24, 2060));
    }
}

TEST_F(AttentionWidths, WindowsCapAndSinks) {
    for (const bool gpu : {false, true}) {
        AttentionCase c{.n_head = 6,
                        .n_head_kv = 2,
                        .head_dim = 32,
                        .kv = Format::f16,
                        .max_kv_tokens = 2048,
                        .window = 300,
                        .softcap = 20,
                        .sinks = true};
        for (const uint32_t keys : {140u, 310u, 1034u}) check_widths(backend(gpu), c, one_sequence(24, keys));
    }
}

TEST_F(AttentionWidths, WhateverElseIsInTheStep) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t shared : {0u, 96u, 256u}) {
            const AttentionCase c{.n_head = 6,
                                  .n_head_kv = 2,
                                  .head_dim = 32,
                                  .kv = Format::f16,
                                  .max_kv_tokens = 1024,
                                  .shared = shared};
            std::vector<AttentionToken> tokens;  // three tokens of each of eight sequences
            for (uint32_t t = 0; t < 24; ++t) tokens.push_back({t / 3, shared + 1 + t % 3 + t / 3 * 80});
            check_widths(backend(gpu), c, tokens);
        }
    }
}

}  // namespace
}  // namespace atlas::test
