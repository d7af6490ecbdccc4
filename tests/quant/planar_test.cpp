#include "quant/planar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "quant/blocks.h"
#include "runtime/base/check.h"

namespace atlas {
namespace {

std::vector<std::byte> random_bytes(size_t count) {
    std::mt19937 random(5);
    std::vector<std::byte> bytes(count);
    for (std::byte& byte : bytes) byte = std::byte(random());
    return bytes;
}

TEST(Planar, ThereAndBackIsTheSame) {
    int with_planes = 0;
    for (size_t f = 0; f < kFormats.size(); ++f) {
        const auto format = static_cast<Format>(f);
        if (!has_planes(format)) continue;
        ++with_planes;
        for (const size_t groups : {size_t{0}, size_t{1}, size_t{3}, size_t{17}}) {
            SCOPED_TRACE(fmt::format("{}, {} groups", info(format).name, groups));
            const auto blocks = random_bytes(groups * unit_bytes(format, Layout::planar));
            std::vector<std::byte> planar(blocks.size()), back(blocks.size());
            to_planar(format, blocks, planar);
            from_planar(format, planar, back);
            EXPECT_EQ(back, blocks);
            EXPECT_EQ(planar == blocks, groups == 0 || info(format).block_elems == 1);
            // The same bytes in another order.
            auto sorted = blocks;
            std::sort(sorted.begin(), sorted.end());
            std::sort(planar.begin(), planar.end());
            EXPECT_EQ(planar, sorted);
        }
    }
    EXPECT_GE(with_planes, 7);
}

TEST(Planar, FieldsLieOneAfterAnother) {
    constexpr size_t kGroupBytes = unit_bytes(Format::q6_k, Layout::planar);
    const auto bytes = random_bytes(2 * kGroupBytes);
    std::vector<std::byte> planar(bytes.size());
    to_planar(Format::q6_k, bytes, planar);
    for (size_t b = 0; b < 2 * kGroupBlocks; ++b) {
        const std::byte* block = bytes.data() + b * sizeof(Block<Format::q6_k>);
        const std::byte* group = planar.data() + b / 16 * kGroupBytes;
        const size_t i = b % 16;
        EXPECT_TRUE(std::equal(block, block + 128, group + i * 128)) << "ql of " << b;
        EXPECT_TRUE(std::equal(block + 128, block + 192, group + 16 * 128 + i * 64)) << "qh of " << b;
        EXPECT_TRUE(std::equal(block + 192, block + 208, group + 16 * 192 + i * 16)) << "scales of " << b;
        EXPECT_TRUE(std::equal(block + 208, block + 210, group + 16 * 208 + i * 2)) << "d of " << b;
    }
}

TEST(Planar, OnlyTheLastGroupIsFilledUp) {
    EXPECT_EQ(stored_bytes(Format::q4_0, Layout::blocks, 32 * 17), 17u * 18);
    EXPECT_EQ(stored_bytes(Format::q4_0, Layout::planar, 32 * 17), 32u * 18);
    EXPECT_EQ(stored_bytes(Format::q4_0, Layout::planar, 32 * 16), 16u * 18);
    EXPECT_EQ(stored_bytes(Format::q6_k, Layout::planar, uint64_t{256} * 16 * 1'000'000),
              uint64_t{210} * 16 * 1'000'000);
    for (size_t f = 0; f < kFormats.size(); ++f) {
        EXPECT_TRUE(!has_planes(static_cast<Format>(f)) ||
                    unit_bytes(static_cast<Format>(f), Layout::planar) % 16 == 0);
    }
}

TEST(PlanarDeathTest, PartsOfGroupsAndFormatsWithoutPlanesAreBugs) {
    std::vector<std::byte> from(18 * 15), to(18 * 15);
    EXPECT_DEATH(to_planar(Format::q4_0, from, to), "whole groups");
    EXPECT_DEATH(to_planar(Format::f32, from, to), "no planes");
}

}  // namespace
}  // namespace atlas
