#include "quant/codec.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

namespace atlas {
namespace {

class EachFormat : public testing::TestWithParam<Format> {
  protected:
    const FormatInfo& facts() const { return atlas::info(GetParam()); }
};

std::vector<Format> all_formats() {
    std::vector<Format> out;
    for (size_t i = 0; i < kFormats.size(); ++i) out.push_back(static_cast<Format>(i));
    return out;
}

INSTANTIATE_TEST_SUITE_P(Formats, EachFormat, testing::ValuesIn(all_formats()),
                         [](const auto& row) { return std::string(atlas::info(row.param).name); });

struct Golden {
    std::vector<std::byte> blocks;
    std::vector<float> values;
};

// tests/golden/quant/README.md says what is in the files.
Golden read_golden(const FormatInfo& facts) {
    constexpr size_t kBlocks = 26;
    Golden golden{std::vector<std::byte>(kBlocks * facts.block_bytes), std::vector<float>(kBlocks * facts.block_elems)};
    std::ifstream file(std::string(ATLAS_TEST_DATA "/golden/quant/") + std::string(facts.name) + ".bin",
                       std::ios::binary);
    file.read(reinterpret_cast<char*>(golden.blocks.data()), static_cast<std::streamsize>(golden.blocks.size()));
    file.read(reinterpret_cast<char*>(golden.values.data()),
              static_cast<std::streamsize>(golden.values.size() * sizeof(float)));
    EXPECT_TRUE(file) << "golden file of " << facts.name << " is missing or short";
    EXPECT_EQ(file.peek(), std::ifstream::traits_type::eof());
    return golden;
}

void expect_same_bits(std::span<const float> got, std::span<const float> want) {
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i) {
        if (std::isnan(want[i])) {
            ASSERT_TRUE(std::isnan(got[i])) << "element " << i << " is " << got[i] << ", not a NaN";
        } else {
            ASSERT_EQ(std::bit_cast<uint32_t>(got[i]), std::bit_cast<uint32_t>(want[i]))
                << "element " << i << ": " << got[i] << " instead of " << want[i];
        }
    }
}

TEST_P(EachFormat, DequantizesLikeThePeer) {
    const Golden golden = read_golden(facts());
    std::vector<float> got(golden.values.size());
    dequantize_row(GetParam(), golden.blocks, got);
    expect_same_bits(got, golden.values);
}

// A row of n blocks is the n blocks one by one, wherever it starts in memory, and nothing is written beside it.
TEST_P(EachFormat, RowsOfAnyLengthAtAnyByte) {
    const Golden golden = read_golden(facts());
    for (const size_t n_blocks : {0u, 1u, 2u, 7u}) {
        for (const size_t first : {0u, 3u}) {
            const size_t elems = n_blocks * facts().block_elems;
            std::vector<std::byte> moved(n_blocks * facts().block_bytes + 1);
            if (n_blocks > 0)
                std::memcpy(moved.data() + 1, golden.blocks.data() + first * facts().block_bytes, moved.size() - 1);
            std::vector<float> got(elems + 2, 12345.0f);
            dequantize_row(GetParam(), std::span(moved).subspan(1), std::span(got).subspan(1, elems));
            expect_same_bits(std::span(got).subspan(1, elems),
                             std::span(golden.values).subspan(first * facts().block_elems, elems));
            EXPECT_EQ(got.front(), 12345.0f);
            EXPECT_EQ(got.back(), 12345.0f);
        }
    }
}

}  // namespace
}  // namespace atlas
