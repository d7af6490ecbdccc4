// turn_heads: groups of one and of several heads, with and without a shift, heads that no workgroup divides, strided views; and a cache whose
// keys are turned by matrices of their own.
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

class TurnHeads : public KernelTest {
  protected:
    // Rows of matrices follow each other.
    static constexpr Placing kDense{.offset_blocks = 3, .pad_blocks = 0};

    void check(uint32_t n_tokens, uint32_t n_head, uint32_t n_group, uint32_t dim, bool shifted) {
        SCOPED_TRACE(fmt::format("{} tokens, {} heads of {} in {} groups{}", n_tokens, n_head, dim, n_group, shifted ? ", shifted" : ""));
        Twin x(backend(), Format::f32, n_tokens, n_head * dim), shift(backend(), Format::f32, 1, n_group * dim);
        Twin w(backend(), Format::f32, n_group * dim, dim, kDense);
        for (Twin* twin : {&x, &w, &shift}) twin->randomize(random_);
        run_both(backend(), {&x, &w, &shift}, [&](Ops& ops, Side side) {
            ops.turn_heads(x.on(side), w.on(side), shifted ? shift.on(side) : Tensor{});
        });
        // dim products of values of at most 1 and a sum of dim + 1 terms: each rounding is at most a half place of dim + 1.
        const double tolerance = 2.0 * (dim + 1) * (dim + 1) * kUlp;
        x.expect_near([&](uint32_t, uint32_t, double) { return tolerance; }, "x");
    }
};

TEST_F(TurnHeads, Groups) {
    for (const bool shifted : {false, true}) {
        check(3, 9, 3, 64, shifted);
        check(3, 3, 3, 64, shifted);
        check(2, 4, 1, 128, shifted);
        check(1, 2, 2, 256, shifted);
    }
}

TEST_F(TurnHeads, TokensAndOddHeads) {
    for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) check(n, 6, 2, 40, true);
    check(5, 3, 1, 8, false);
}

TEST_F(TurnHeads, ACacheHoldsTurnedKeys) {
    constexpr uint32_t kHead = 64, kTokens = 3;
    VkBackend& vk = backend();
    Twin q(vk, Format::f32, kTokens, 4 * kHead), k(vk, Format::f32, kTokens, 2 * kHead), v(vk, Format::f32, kTokens, 2 * kHead);
    Twin at(vk, Format::f32, 1, kTokens), shift(vk, Format::f32, 1, 2 * kHead);
    Twin turn_k(vk, Format::f32, 2 * kHead, kHead, kDense), turn_q(vk, Format::f32, 2 * kHead, kHead, kDense);
    CacheTwin k_cache(vk, Format::f32, 10, 2 * kHead), v_cache(vk, Format::f32, 10, 2 * kHead);
    for (Twin* twin : {&q, &k, &v, &shift, &turn_k, &turn_q}) twin->randomize(random_);
    for (CacheTwin* cache : {&k_cache, &v_cache}) cache->fill([](uint32_t r, uint32_t) { return r + 1.0; });
    at.integers({4, 2, 9});
    const RopeParams rope{.head_dim = kHead, .n_rot = kHead};
    run_both(vk, {&q, &k, &v, &at, &shift, &turn_k, &turn_q, &k_cache, &v_cache}, [&](Ops& ops, Side side) {
        const KvLayer layer{k_cache.on(side), v_cache.on(side), 10, true, true, turn_k.on(side), shift.on(side), turn_q.on(side)};
        ops.rope_kv_write(q.on(side), k.on(side), v.on(side), rope, at.ids(side), {}, layer, at.ids(side));
    });
    // Rope is right to about 1e-6 of values of at most 1.42, and 64 of them are summed.
    const auto close = [](uint32_t, uint32_t, double) { return 2e-4; };
    q.expect_near(close, "q");
    k_cache.expect_near(close, "K");
    v_cache.expect_near(close, "V");
}

}  // namespace
}  // namespace atlas::test
