// hadamard: every block size, several tokens, strided views, and twice is once.
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

class Hadamard : public KernelTest {
  protected:
    void check(uint32_t rows, uint32_t cols, uint32_t block) {
        SCOPED_TRACE(fmt::format("[{}, {}] in blocks of {}", rows, cols, block));
        Twin x(backend(), Format::f32, rows, cols);
        x.randomize(random_);
        run_both(backend(), {&x}, [&](Ops& ops, Side side) { ops.hadamard(x.on(side), block); });
        // log2(block) additions of values of at most 1 each, and a scale.
        x.expect_near([&](uint32_t, uint32_t, double) { return block == 1 ? 0.0 : (12 + block) * kUlp; }, "x");
    }
};

TEST_F(Hadamard, EveryBlock) {
    for (const uint32_t block : {1u, 2u, 4u, 8u, 16u, 32u, 64u, 128u, 256u}) check(3, 3 * block, block);
}

TEST_F(Hadamard, TokensAndWidths) {
    for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) check(n, 576, 64);
    check(1, 7 * 80, hadamard_block(80));
    check(2, 5120, 128);
}

TEST_F(Hadamard, TwiceIsOnce) {
    Twin x(backend(), Format::f32, 2, 256);
    x.randomize(random_);
    const auto before = read_row(x.on(Side::host), 1);
    run_both(backend(), {&x}, [&](Ops& ops, Side side) {
        ops.hadamard(x.on(side), 128);
        ops.hadamard(x.on(side), 128);
    });
    const auto after = x.device_row(1);
    for (size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i], 1e-6);
}

TEST_F(Hadamard, ACacheHoldsTurnedHeads) {
    constexpr uint32_t kHead = 64, kTokens = 3;
    VkBackend& vk = backend();
    Twin q(vk, Format::f32, kTokens, 4 * kHead), k(vk, Format::f32, kTokens, 2 * kHead),
        v(vk, Format::f32, kTokens, 2 * kHead);
    Twin at(vk, Format::f32, 1, kTokens);
    CacheTwin k_cache(vk, Format::f32, 10, 2 * kHead), v_cache(vk, Format::f32, 10, 2 * kHead);
    for (Twin* twin : {&q, &k, &v}) twin->randomize(random_);
    for (CacheTwin* cache : {&k_cache, &v_cache}) cache->fill([](uint32_t r, uint32_t) { return r + 1.0; });
    at.integers({4, 2, 9});
    const RopeParams rope{.head_dim = kHead, .n_rot = kHead};
    run_both(vk, {&q, &k, &v, &at, &k_cache, &v_cache}, [&](Ops& ops, Side side) {
        ops.rope_kv_write(q.on(side), k.on(side), v.on(side), rope, at.ids(side), {},
                          {k_cache.on(side), v_cache.on(side), 10, true, true}, at.ids(side));
    });
    const auto close = [](uint32_t, uint32_t, double) { return 1e-5; };
    q.expect_near(close, "q");
    k_cache.expect_near(close, "K");
    v_cache.expect_near(close, "V");
}

}  // namespace
}  // namespace atlas::test
