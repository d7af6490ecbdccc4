#include <gtest/gtest.h>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::load;
using testing::plain;
using testing::Tables;
using Ids = std::vector<TokenId>;

// <pad> <eos> <bos>, the 256 bytes (ids 3 to 258), then characters and words. Ids and cuts are those of the library
// `tokenizers` 0.23 for the same tables (BPE with byte_fallback, spaces replaced by U+2581).
Tables plain_tables() {
    Tables tables;
    tables.model = "gemma4";
    for (const char* control : {"<pad>", "<eos>", "<bos>"}) tables.add(control, 3);
    for (unsigned byte = 0; byte < 256; ++byte) tables.add(fmt::format("<0x{:02X}>", byte), 6);
    tables.ids = {{"bos", 2}, {"eos", 1}};
    for (const char* text : {"▁", "a", "b", "é", "\n", "▁a", "ab", "▁ab", "▁▁", "\n\n", "a▁"}) tables.add(text, 1);
    tables.merges = {"▁ ▁", "a b", "▁ a", "▁ ab", "\n \n", "a ▁"};
    return tables;
}
constexpr TokenId kA = 260, kB = 261, kAcute = 262, kLine = 263, kSpaceA = 264, kAb = 265, kSpaceAb = 266,
                  kTwoSpaces = 267, kTwoLines = 268, kAndSpace = 269;

TEST(PlainBpe, MergesByTheirOrderOverCharactersAndMarks) {
    const auto tokenizer = load(plain_tables()).value();
    EXPECT_EQ(plain(*tokenizer, " ab"), (Ids{kSpaceAb}));
    EXPECT_EQ(plain(*tokenizer, "ab a"), (Ids{kAb, kSpaceA}));
    EXPECT_EQ(plain(*tokenizer, "   ab"), (Ids{kTwoSpaces, kSpaceAb}));
    EXPECT_EQ(plain(*tokenizer, "a b"), (Ids{kAndSpace, kB})) << "a space joins words";
    EXPECT_EQ(plain(*tokenizer, "é"), (Ids{kAcute}));
    EXPECT_EQ(plain(*tokenizer, "a\n\n\nb"), (Ids{kA, kTwoLines, kLine, kB}));
}

TEST(PlainBpe, WhatHasNoTokenBecomesBytesAndComesBack) {
    const auto tokenizer = load(plain_tables()).value();
    EXPECT_EQ(plain(*tokenizer, "ü\t"), (Ids{3 + 0xC3, 3 + 0xBC, 3 + 0x09}));
    for (const char* text : {" ab  é\n\n\nü a", "\xFF\xE2 b", "", "\n", "▁"}) {
        const std::string expected = std::string_view(text) == "▁" ? " " : text;
        EXPECT_EQ(tokenizer->decode(plain(*tokenizer, text)), expected);
    }
}

TEST(PlainBpe, TypedTextNeverBecomesAControlOrByteTokenAndBosIsTheDefault) {
    Tables tables = plain_tables();
    for (const char* text : {"<", "e", "o", "s", ">", "eo", "eos", "<eos", "<eos>"}) {
        if (std::string_view(text) != "<eos>") tables.add(text, 1);
    }
    tables.merges.insert(tables.merges.end(), {"e o", "eo s", "< eos"});
    const auto tokenizer = load(tables).value();
    const Ids typed = plain(*tokenizer, "<eos>");
    EXPECT_EQ(std::count(typed.begin(), typed.end(), 1u), 0);
    EXPECT_EQ(tokenizer->decode(typed), "<eos>");
    EXPECT_EQ(tokenizer->encode("<eos>", {.add_special = true, .parse_special = true}), (Ids{2, 1}));
}

TEST(PlainBpe, WithoutMergesItIsRefused) {
    Tables tables = plain_tables();
    tables.merges.clear();
    const auto tokenizer = load(tables);
    ASSERT_FALSE(tokenizer);
    EXPECT_NE(tokenizer.error().message.find("tokenizer.ggml.merges"), std::string::npos);
}

}  // namespace
}  // namespace atlas
