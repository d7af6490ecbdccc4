// kv_write and attention: random pages, several sequences in one call, every ratio of heads, one pass and split over the keys.
#include <algorithm>
#include <numeric>

#include "runtime/ops/dry_ops.h"
#include "tests/kernels/twin.h"

namespace atlas::test {
namespace {

struct Shape {
    uint32_t n_head = 1, n_head_kv = 1, head_dim = 64;
    Format kv = Format::f32;
    uint32_t page_tokens = 16;
    uint32_t max_kv_tokens = 304;
};

class Attention : public KernelTest {
  protected:
    /// Every token is a sequence of its own with n_keys[t] keys, unless `one_sequence`.
    void check(VkBackend& vk, const Shape& s, const std::vector<uint32_t>& n_keys, bool one_sequence = false) {
        SCOPED_TRACE(fmt::format("{} heads, {} KV, of {}, {} KV, {} tokens, {} keys, pages of {}", s.n_head, s.n_head_kv, s.head_dim,
                                 info(s.kv).name, n_keys.size(), n_keys[0], s.page_tokens));
        const auto n = static_cast<uint32_t>(n_keys.size());
        const uint32_t n_seqs = one_sequence ? 1 : n, max_pages = (s.max_kv_tokens + s.page_tokens - 1) / s.page_tokens;
        const uint32_t n_pages = n_seqs * max_pages + 3;  // some pages are nobody's
        const AttentionParams params{s.n_head, s.n_head_kv, s.head_dim, 1.0f / std::sqrt(float(s.head_dim))};
        const uint32_t width = s.n_head * s.head_dim, kv_width = s.n_head_kv * s.head_dim;
        Twin k(vk, s.kv, n_pages * s.page_tokens, kv_width), v(vk, s.kv, n_pages * s.page_tokens, kv_width);
        Twin q(vk, Format::f32, n, width), y(vk, Format::f32, n, width);
        Twin positions(vk, Format::f32, 1, n), seqs(vk, Format::f32, 1, n), table(vk, Format::f32, 1, n_seqs * max_pages);
        q.randomize(random_, -3, 3);
        k.randomize(random_);
        v.randomize(random_);
        std::vector<uint32_t> at(n), seq(n), pages(n_pages);
        for (uint32_t t = 0; t < n; ++t) {
            at[t] = n_keys[t] - 1;
            seq[t] = one_sequence ? 0 : n - 1 - t;
        }
        std::iota(pages.begin(), pages.end(), 0u);
        std::shuffle(pages.begin(), pages.end(), random_);
        pages.resize(n_seqs * max_pages);
        positions.integers(at);
        seqs.integers(seq);
        table.integers(pages);
        const auto queries = [&](uint32_t t) { return read_row(q.on(Side::host), t); };
        run_both(vk, {&k, &v, &q, &y, &positions, &seqs, &table}, [&](Ops& ops, Side side) {
            const AttentionTables tables{positions.ids(side), seqs.ids(side), table.ids(side), max_pages, s.max_kv_tokens};
            ops.attention(q.on(side), {k.on(side), v.on(side), s.page_tokens}, tables, params, y.on(side));
        });
        // A score is a sum of head_dim products, |k| <= 1; its error is a relative error of its weight, as are exp's 3 units and more and
        // the roundings of two sums over the keys. The result is a mean of values of at most 1.
        y.expect_near(
            [&](uint32_t t, uint32_t c, double) {
                const auto row = queries(t);
                double score = 0;
                for (uint32_t i = 0; i < s.head_dim; ++i) score += std::abs(row[c / s.head_dim * s.head_dim + i]) * params.scale;
                return 2 * kUlp * ((4 + std::sqrt(double(s.head_dim))) * score + 16 + 2 * std::sqrt(double(n_keys[t])));
            },
            "y");
    }
    /// Token counts below this are split over the keys for this shape, as attention_splits decides.
    static std::vector<uint32_t> lengths(uint32_t n, uint32_t most) {
        std::vector<uint32_t> n_keys(n);
        for (uint32_t t = 0; t < n; ++t) n_keys[t] = 1 + (t * 97) % most;
        return n_keys;
    }
};

TEST_F(Attention, EveryKeyCountAcrossPagesAndTiles) {
    for (const bool gpu : {false, true}) {
        for (const Format kv : {Format::f32, Format::f16}) {
            const Shape shape{.n_head = 3, .n_head_kv = 1, .head_dim = 64, .kv = kv};
            for (const uint32_t keys : {1u, 2u, 15u, 16u, 17u, 31u, 32u, 33u, 63u, 64u, 65u, 127u, 128u, 129u, 255u, 256u, 257u, 300u}) {
                check(backend(gpu), shape, {keys});
            }
        }
    }
}

TEST_F(Attention, EveryTokenCountSeveralSequences) {
    for (const bool gpu : {false, true}) {
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) {
            check(backend(gpu), {.n_head = 4, .n_head_kv = 4, .head_dim = 64, .kv = Format::f16, .max_kv_tokens = 128}, lengths(n, 128));
        }
    }
}

TEST_F(Attention, OneSequenceCausal) {
    std::vector<uint32_t> n_keys(33);
    std::iota(n_keys.begin(), n_keys.end(), 20u);
    for (const bool gpu : {false, true}) {
        check(backend(gpu), {.n_head = 6, .n_head_kv = 2, .head_dim = 64, .kv = Format::f16}, n_keys, true);
    }
}

TEST_F(Attention, EveryRatioOfHeads) {
    for (const uint32_t ratio : {1u, 3u, 4u, 7u, 8u, 14u}) {
        check(backend(), {.n_head = 2 * ratio, .n_head_kv = 2, .head_dim = 16}, {40, 129});
    }
}

TEST_F(Attention, EveryHeadSize) {
    for (const uint32_t head_dim : {8u, 72u, 80u, 128u, 256u}) {
        check(backend(), {.n_head = 2, .n_head_kv = 1, .head_dim = head_dim, .kv = Format::f16}, {40, 300, 1});
    }
    // 64 invocations a workgroup: 72 is more than one column each and no whole number of them.
    check(backend(true), {.n_head = 2, .n_head_kv = 1, .head_dim = 72, .kv = Format::f16}, {40, 300, 1});
}

TEST_F(Attention, EveryPageSize) {
    for (const uint32_t page_tokens : {1u, 3u, 32u, 304u}) {
        check(backend(), {.n_head = 3, .n_head_kv = 1, .head_dim = 64, .page_tokens = page_tokens}, {300, 77, 1});
    }
}

TEST_F(Attention, SplitsWithNoKeysLeaveNothing) {
    // Recorded for 2048 keys (16 splits), run with few: most workgroups have nothing to do.
    const Shape shape{.n_head = 3, .n_head_kv = 1, .head_dim = 64, .kv = Format::f16, .max_kv_tokens = 2048};
    ASSERT_GT(attention_splits(1, {3, 1, 64, 1.0f}, 2048), 8u);
    for (const uint32_t keys : {1u, 33u, 500u, 2048u}) check(backend(), shape, {keys});
}

TEST_F(Attention, LargeScoresDoNotOverflow) {
    VkBackend& vk = backend();
    Twin k(vk, Format::f32, 16, 8), v(vk, Format::f32, 16, 8), q(vk, Format::f32, 1, 8), y(vk, Format::f32, 1, 8);
    Twin positions(vk, Format::f32, 1, 1), seqs(vk, Format::f32, 1, 1), table(vk, Format::f32, 1, 1);
    // Scores of -64000, -56000, ... : only the last key, of score +56000, counts.
    k.fill([](uint32_t r, uint32_t) { return 1000.0 * (double(r) - 8); });
    v.fill([](uint32_t r, uint32_t c) { return r * 10.0 + c; });
    q.fill([](uint32_t, uint32_t) { return 1; });
    for (Twin* zero : {&positions, &seqs, &table}) zero->integers({0});
    positions.integers({15});
    run_both(vk, {&k, &v, &q, &y, &positions, &seqs, &table}, [&](Ops& ops, Side side) {
        ops.attention(q.on(side), {k.on(side), v.on(side), 16}, {positions.ids(side), seqs.ids(side), table.ids(side), 1, 16}, {1, 1, 8, 1.0f},
                      y.on(side));
    });
    y.expect_equal("y");
}

TEST_F(Attention, KvWrite) {
    for (const Format kv : {Format::f32, Format::f16}) {
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) {
            VkBackend& vk = backend();
            Twin k(vk, Format::f32, n, 72), v(vk, Format::f32, n, 72), k_cache(vk, kv, 50, 72), v_cache(vk, kv, 50, 72);
            Twin slots(vk, Format::f32, 1, n);
            k.randomize(random_, -10, 10);
            v.randomize(random_, -1e-4f, 1e-4f);  // many are subnormal halves
            k_cache.randomize(random_);
            v_cache.randomize(random_);
            std::vector<uint32_t> at(50);
            std::iota(at.begin(), at.end(), 0u);
            std::shuffle(at.begin(), at.end(), random_);
            at.resize(n);
            slots.integers(at);
            run_both(vk, {&k, &v, &k_cache, &v_cache, &slots}, [&](Ops& ops, Side side) {
                ops.kv_write(k.on(side), v.on(side), {k_cache.on(side), v_cache.on(side), 10}, slots.ids(side));
            });
            k_cache.expect_equal("K");
            v_cache.expect_equal("V");
        }
    }
}

TEST_F(Attention, HalvesAreRoundedToEvenEverywhere) {
    // Ties, the largest half, the first that becomes infinite, the smallest subnormal and what rounds to and from it, both signs.
    const std::vector<float> values{1.0f + 1.0f / 2048, 1.0f + 3.0f / 2048, 65504, 65519, 65520, 1e9f, 5.9604645e-8f, 2.9802322e-8f,
                                    2.9802326e-8f, 8.9406967e-8f, 6.1035156e-5f, 6.1005e-5f, 6.1035153e-5f, 0.0f, 1e-30f, INFINITY};
    const auto n = static_cast<uint32_t>(values.size());
    VkBackend& vk = backend();
    Twin k(vk, Format::f32, 1, n), v(vk, Format::f32, 1, n), k_cache(vk, Format::f16, 2, n), v_cache(vk, Format::f16, 2, n);
    Twin slots(vk, Format::f32, 1, 1);
    k.fill([&](uint32_t, uint32_t c) { return values[c]; });
    v.fill([&](uint32_t, uint32_t c) { return -values[c]; });
    slots.integers({1});
    run_both(vk, {&k, &v, &k_cache, &v_cache, &slots}, [&](Ops& ops, Side side) {
        ops.kv_write(k.on(side), v.on(side), {k_cache.on(side), v_cache.on(side), 2}, slots.ids(side));
    });
    EXPECT_EQ(k_cache.device_row(1), read_row(k_cache.on(Side::host), 1));
    EXPECT_EQ(v_cache.device_row(1), read_row(v_cache.on(Side::host), 1));
}

}  // namespace
}  // namespace atlas::test
