// kv_copy: pages of a cache move as they are, in one cache and between two.
#include "tests/kernels/cache_twin.h"

namespace atlas::test {
namespace {

using KvCopy = KernelTest;

constexpr uint32_t kSkip = UINT32_MAX;

TEST_F(KvCopy, PagesOfOneCache) {
    VkBackend& vk = backend();
    for (const Format format : kKvFormats) {
        const uint32_t cols =
            info(format).block_elems > 1 ? 256 : 40;  // rows without gaps at their ends: those are copied too
        CacheTwin cache(vk, format, 8 * 5, cols);
        Twin from(vk, Format::f32, 1, 3), to(vk, Format::f32, 1, 3);
        cache.randomize(random_);
        from.integers({6, 2, 0});
        to.integers({1, kSkip, 7});
        run_both(vk, {&cache, &from, &to}, [&](Ops& ops, Side side) {
            ops.kv_copy(cache.on(side), from.ids(side), cache.on(side), to.ids(side), 5);
        });
        cache.expect_equal(info(format).name.data());
        EXPECT_EQ(cache.device_row(1 * 5 + 4), cache.device_row(6 * 5 + 4));
        EXPECT_NE(cache.device_row(3 * 5 + 4), cache.device_row(6 * 5 + 4));
    }
}

// As snapshots do it: out of a large cache into a small one, a number past either side skipped. Rows of the last page
// that are no whole page stay.
TEST_F(KvCopy, PagesBetweenCaches) {
    VkBackend& vk = backend();
    for (const Format format : {Format::f16, Format::q5_0}) {
        for (const uint32_t n : {1u, 2u, 9u}) {
            CacheTwin large(vk, format, 9 * 32, 64), small(vk, format, n * 32 + 7, 64);
            Twin from(vk, Format::f32, 1, n + 2), to(vk, Format::f32, 1, n + 2);
            large.randomize(random_);
            small.randomize(random_);
            std::vector<uint32_t> sources, targets;
            for (uint32_t i = 0; i < n; ++i) {
                sources.push_back((i * 4 + 8) % 9);
                targets.push_back(n - 1 - i);
            }
            sources.insert(sources.end(), {9, 3});
            targets.insert(targets.end(), {0, n});
            from.integers(sources);
            to.integers(targets);
            run_both(vk, {&large, &small, &from, &to}, [&](Ops& ops, Side side) {
                ops.kv_copy(large.on(side), from.ids(side), small.on(side), to.ids(side), 32);
            });
            large.expect_equal("from");
            small.expect_equal("to");
        }
    }
}

}  // namespace
}  // namespace atlas::test
