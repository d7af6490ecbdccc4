#include <gtest/gtest.h>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::load;
using testing::plain;
using testing::Tables;
using Ids = std::vector<TokenId>;

// <unk> <s> </s>, the 256 bytes (ids 3 to 258), then words.
Tables spm_tables() {
    Tables tables;
    tables.model = "llama";
    tables.pre = "default";
    tables.add("<unk>", 2);
    tables.add("<s>", 3);
    tables.add("</s>", 3);
    for (unsigned byte = 0; byte < 256; ++byte) tables.add(fmt::format("<0x{:02X}>", byte), 6);
    tables.ids = {{"bos", 1}, {"eos", 2}, {"unknown", 0}};
    return tables;
}

TEST(Spm, TheHighestScoreMergesFirstAndTheLeftmostOfEquals) {
    Tables tables = spm_tables();
    const TokenId space = tables.add("▁", 1, -9), a = tables.add("a", 1, -9), b = tables.add("b", 1, -9);
    const TokenId ab = tables.add("ab", 1, -2), ba = tables.add("ba", 1, -1), space_a = tables.add("▁a", 1, -3),
                  aa = tables.add("aa", 1, -4);
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(plain(*tokenizer, "ab"), (Ids{space, ab}));
    EXPECT_EQ(plain(*tokenizer, "aba"), (Ids{space_a, ba})) << "b a scores best";
    EXPECT_EQ(plain(*tokenizer, "b aaa"), (Ids{space, b, space_a, aa}));
    EXPECT_EQ(plain(*tokenizer, "baaa"), (Ids{space, ba, aa}));
    (void)a;
}

TEST(Spm, WhatHasNoTokenBecomesBytes) {
    Tables tables = spm_tables();
    const TokenId space = tables.add("▁", 1, -9);
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(plain(*tokenizer, "é\n"), (Ids{space, 3 + 0xC3, 3 + 0xA9, 3 + 0x0A}));
    EXPECT_EQ(plain(*tokenizer, "\xFF\xE2"), (Ids{space, 3 + 0xFF, 3 + 0xE2}));
    EXPECT_EQ(tokenizer->decode(plain(*tokenizer, "é\n\xFF x")), "é\n\xFF x");
}

TEST(Spm, ACharacterWithoutATokenOfItsOwnMayStillBeginOne) {
    Tables tables = spm_tables();
    const TokenId space = tables.add("▁", 1, -9), face = tables.add("😀x", 1, -1);
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(plain(*tokenizer, "😀x"), (Ids{space, face})) << "x and the face are in no token alone";
}

// SentencePiece never encodes text to control and byte pieces, whatever merges lead to their spelling.
TEST(Spm, TypedTextNeverBecomesAControlOrByteToken) {
    Tables tables = spm_tables();
    const TokenId space = tables.add("▁", 1, -9), open = tables.add("</", 1, -1), close = tables.add("s>", 1, -1);
    EXPECT_EQ(plain(*load(tables).value(), "</s>"), (Ids{space, open, close})) << "2 is the control token </s>";
    EXPECT_EQ(load(tables).value()->encode("</s>", {.add_special = false, .parse_special = true}), (Ids{2}));
    for (const char* part : {"<", "0", "x", "0A>"}) tables.add(part, 1, -9);
    tables.add("<0", 1, -2), tables.add("<0x", 1, -2);
    EXPECT_EQ(load(tables).value()->decode(plain(*load(tables).value(), "<0x0A>")), "<0x0A>") << "and no line feed";
}

TEST(Spm, TokensWithASpaceInsideJoinWords) {
    Tables tables = spm_tables();
    tables.add("▁", 1, -9), tables.add("a", 1, -9), tables.add("b", 1, -9);
    tables.add("a▁", 1, -2);
    const TokenId a_b = tables.add("a▁b", 1, -1);
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(plain(*tokenizer, "a b").back(), a_b);
}

TEST(Spm, ABrokenCharacterBeforeASpaceLeavesTheSpace) {
    Tables tables = spm_tables();
    tables.add("▁", 1, -9), tables.add("a", 1, -9);
    tables.add("a▁", 1, -2);  // words can join
    const auto tokenizer = load(tables).value();
    for (const char* text : {"\xE2 a", "\xF0\x9F a a", "\xFF a"})
        EXPECT_EQ(tokenizer->decode(plain(*tokenizer, text)), text);
}

TEST(Spm, SpacePrefixAsTheFileSays) {
    for (const bool prefix : {true, false}) {
        Tables tables = spm_tables();
        const TokenId space = tables.add("▁", 1, -9), a = tables.add("a", 1, -9);
        tables.flags = {{"add_space_prefix", prefix}};
        const auto tokenizer = load(tables).value();
        EXPECT_EQ(tokenizer->strips_first_space(), prefix);
        EXPECT_EQ(tokenizer->encode("a</s>a", {}), prefix ? (Ids{1, space, a, 2, space, a}) : (Ids{1, a, 2, a}))
            << "also after a special token";
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(" a a", {})), " a a");
    }
}

TEST(Spm, BosByDefaultAndAsTheFileSays) {
    Tables tables = spm_tables();
    tables.add("▁a", 1, -1);
    EXPECT_EQ(load(tables).value()->encode("", {}), (Ids{1}));
    tables.flags = {{"add_bos_token", false}, {"add_eos_token", true}};
    EXPECT_EQ(load(tables).value()->encode("", {}), (Ids{2}));
    EXPECT_EQ(load(tables).value()->encode("", {.add_special = false}), (Ids{}));
}

TEST(Spm, AMegabyteOfOneCharacterIsNotQuadratic) {
    Tables tables = spm_tables();
    tables.add("▁", 1, -9), tables.add("a", 1, -9), tables.add("aa", 1, -2), tables.add("aaaa", 1, -1),
        tables.add("▁▁", 1, -3);
    const auto tokenizer = load(tables).value();
    for (const char c : {'a', ' ', '\n', '\x80'}) {
        const std::string text(size_t{1} << 20, c);
        EXPECT_EQ(tokenizer->decode(plain(*tokenizer, text)), text);
    }
}

}  // namespace
}  // namespace atlas
