// kv_write against the CPU's codecs, every format of the cache.
#include <numeric>

#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

class KvWrite : public KernelTest {
  protected:
    /// Writes n tokens of heads to random slots of caches of 50 rows, and calls `expect` with both caches' twins and
    /// their inputs.
    template <class Expect>
    void write(KvFormats formats, uint32_t n, uint32_t k_cols, uint32_t v_cols, Expect expect) {
        VkBackend& vk = backend();
        Twin k(vk, Format::f32, n, k_cols), v(vk, Format::f32, n, v_cols), slots(vk, Format::f32, 1, n);
        CacheTwin k_cache(vk, formats.k, 50, k_cols), v_cache(vk, formats.v, 50, v_cols);
        k.randomize(random_, -10, 10);
        v.randomize(random_, -1e-4f, 1e-4f);  // many are subnormal halves
        for (CacheTwin* cache : {&k_cache, &v_cache}) cache->fill([](uint32_t r, uint32_t) { return r + 1.0; });
        std::vector<uint32_t> at(50);
        std::iota(at.begin(), at.end(), 0u);
        std::shuffle(at.begin(), at.end(), random_);
        at.resize(n);
        slots.integers(at);
        run_both(vk, {&k, &v, &k_cache, &v_cache, &slots}, [&](Ops& ops, Side side) {
            ops.kv_write(k.on(side), v.on(side), {k_cache.on(side), v_cache.on(side), 10}, slots.ids(side));
        });
        for (uint32_t t = 0; t < n; ++t) {
            expect(read_row(k.on(Side::host), t), read_row(k_cache.on(Side::host), at[t]), k_cache.device_row(at[t]));
            expect(read_row(v.on(Side::host), t), read_row(v_cache.on(Side::host), at[t]), v_cache.device_row(at[t]));
        }
        // Gaps and all other rows are as they were.
        k_cache.expect_near(
            [&](uint32_t r, uint32_t, double) { return std::find(at.begin(), at.end(), r) == at.end() ? 0.0 : 1e9; },
            "K");
        v_cache.expect_near(
            [&](uint32_t r, uint32_t, double) { return std::find(at.begin(), at.end(), r) == at.end() ? 0.0 : 1e9; },
            "V");
    }
};

TEST_F(KvWrite, KeysAlone) {
    VkBackend& vk = backend();
    for (const Format format : {Format::f16, Format::q8_0}) {
        Twin k(vk, Format::f32, 3, 576), slots(vk, Format::f32, 1, 3);
        CacheTwin cache(vk, format, 50, 576);
        k.randomize(random_, -2, 2);
        cache.fill([](uint32_t r, uint32_t) { return r + 1.0; });
        slots.integers({31, 2, 17});
        run_both(vk, {&k, &cache, &slots}, [&](Ops& ops, Side side) {
            ops.kv_write(k.on(side), {}, {cache.on(side), {}, 10}, slots.ids(side));
        });
        for (const uint32_t slot : {31u, 2u, 17u, 3u})
            EXPECT_EQ(read_row(cache.on(Side::host), slot), cache.device_row(slot)) << info(format).name << " " << slot;
    }
}

TEST_F(KvWrite, FloatsAreEqual) {
    for (const KvFormats formats : {KvFormats(Format::f32), KvFormats(Format::f16), KvFormats(Format::bf16),
                                    KvFormats(Format::f16, Format::f32)}) {
        for (const uint32_t n : {1u, 2u, 7u, 8u, 9u, 33u}) {
            write(formats, n, 72, 40,
                  [](const auto&, const auto& expected, const auto& found) { EXPECT_EQ(expected, found); });
        }
    }
}

// The scales are searched for, so a division that is not exact may end in another minimum of the same error: squared
// errors are compared, and each value against what a whole step of the block's scale can do.
TEST_F(KvWrite, BlocksAreAsGoodAsTheCodecs) {
    size_t values = 0, equal = 0;
    for (const Format format : {Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0}) {
        for (const KvFormats formats : {KvFormats(format), KvFormats(format, Format::f16)}) {
            write(
                formats, 9, 96, 32,
                [&](const std::vector<float>& in, const std::vector<float>& expected, const std::vector<float>& found) {
                    double error = 0, codec_error = 0, largest = 0, worst = 0;
                    for (size_t i = 0; i < in.size(); ++i) {
                        error += (in[i] - found[i]) * double(in[i] - found[i]);
                        codec_error += (in[i] - expected[i]) * double(in[i] - expected[i]);
                        largest = std::max(largest, double(std::abs(in[i])));
                        worst = std::max(worst, double(std::abs(in[i] - found[i])));
                        equal += expected[i] == found[i] ? 1 : 0;
                        ++values;
                    }
                    EXPECT_LE(error, codec_error * (1 + 1e-3) + 1e-18) << info(format).name;
                    EXPECT_LE(worst, largest * 0.3) << info(format).name;
                });
        }
    }
    // On devices with exact division every code is the codec's.
    EXPECT_GE(double(equal), 0.99 * double(values));
}

TEST_F(KvWrite, ZeroAndConstantBlocks) {
    for (const Format format : {Format::q8_0, Format::q5_1, Format::q5_0, Format::q4_1, Format::q4_0}) {
        VkBackend& vk = backend();
        Twin k(vk, Format::f32, 1, 96), slots(vk, Format::f32, 1, 1);
        CacheTwin k_cache(vk, format, 3, 96), v_cache(vk, format, 3, 96);
        k.fill([](uint32_t, uint32_t c) { return c < 32 ? 0.0 : c < 64 ? -3.0 : (c == 70 ? 1e30 : 0.0); });
        slots.integers({1});
        run_both(vk, {&k, &k_cache, &v_cache, &slots}, [&](Ops& ops, Side side) {
            ops.kv_write(k.on(side), k.on(side), {k_cache.on(side), v_cache.on(side), 3}, slots.ids(side));
        });
        EXPECT_EQ(k_cache.device_row(1), read_row(k_cache.on(Side::host), 1)) << info(format).name;
        EXPECT_EQ(v_cache.device_row(1), read_row(v_cache.on(Side::host), 1)) << info(format).name;
    }
}

TEST_F(KvWrite, HalvesAreRoundedToEvenEverywhere) {
    // Ties, the largest half, the first that becomes infinite, the smallest subnormal and what rounds to and from it,
    // both signs.
    const std::vector<float> values{1.0f + 1.0f / 2048,
                                    1.0f + 3.0f / 2048,
                                    65504,
                                    65519,
                                    65520,
                                    1e9f,
                                    5.9604645e-8f,
                                    2.9802322e-8f,
                                    2.9802326e-8f,
                                    8.9406967e-8f,
                                    6.1035156e-5f,
                                    6.1005e-5f,
                                    6.1035153e-5f,
                                    0.0f,
                                    1e-30f,
                                    INFINITY};
    const auto n = static_cast<uint32_t>(values.size());
    for (const Format format : {Format::f16, Format::bf16}) {
        VkBackend& vk = backend();
        Twin k(vk, Format::f32, 1, n), v(vk, Format::f32, 1, n), slots(vk, Format::f32, 1, 1);
        CacheTwin k_cache(vk, format, 2, n), v_cache(vk, format, 2, n);
        k.fill([&](uint32_t, uint32_t c) { return values[c]; });
        v.fill([&](uint32_t, uint32_t c) { return -values[c]; });
        slots.integers({1});
        run_both(vk, {&k, &v, &k_cache, &v_cache, &slots}, [&](Ops& ops, Side side) {
            ops.kv_write(k.on(side), v.on(side), {k_cache.on(side), v_cache.on(side), 2}, slots.ids(side));
        });
        EXPECT_EQ(k_cache.device_row(1), read_row(k_cache.on(Side::host), 1));
        EXPECT_EQ(v_cache.device_row(1), read_row(v_cache.on(Side::host), 1));
    }
}

}  // namespace
}  // namespace atlas::test
