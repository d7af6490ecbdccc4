#include "runtime/model/regroup.h"

#include <gtest/gtest.h>

#include <random>

#include "runtime/base/check.h"

namespace atlas {
namespace {

TEST(Regrouper, PiecesOfAnySizeBecomeTheSameGroups) {
    constexpr size_t kBlocks = 16 * 5 + 3, kBlockBytes = 34;
    std::mt19937 random(3);
    std::vector<std::byte> blocks(kBlocks * kBlockBytes);
    for (std::byte& byte : blocks) byte = std::byte(random());
    std::vector<std::byte> padded = blocks;
    padded.resize(stored_bytes(Format::q8_0, Layout::planar, kBlocks * 32));
    std::vector<std::byte> expected(padded.size());
    to_planar(Format::q8_0, padded, expected);

    for (const size_t piece :
         {size_t{1}, size_t{7}, size_t{543}, size_t{544}, size_t{545}, size_t{2000}, blocks.size()}) {
        SCOPED_TRACE(fmt::format("pieces of {}", piece));
        std::vector<std::byte> found;
        const auto take = [&](uint64_t offset_bytes, std::span<const std::byte> bytes) -> Result<void> {
            EXPECT_EQ(offset_bytes, found.size());
            found.insert(found.end(), bytes.begin(), bytes.end());
            return {};
        };
        Regrouper regrouper(Format::q8_0);
        for (size_t at = 0; at < blocks.size(); at += piece) {
            ASSERT_TRUE(regrouper.add(std::span(blocks).subspan(at, std::min(piece, blocks.size() - at)), take));
        }
        ASSERT_TRUE(regrouper.finish(take));
        EXPECT_EQ(found, expected);
    }
}

TEST(Regrouper, StopsAtTheFirstError) {
    Regrouper regrouper(Format::q4_0);
    const std::vector<std::byte> blocks(18 * 16);
    const auto refuse = [](uint64_t, std::span<const std::byte>) -> Result<void> {
        return fail(ErrorCode::device_lost, "gone");
    };
    const auto added = regrouper.add(blocks, refuse);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code, ErrorCode::device_lost);
}

}  // namespace
}  // namespace atlas
