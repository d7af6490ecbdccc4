#include <gtest/gtest.h>

#include <random>

#include "runtime/text/pre_tokenizers.h"
#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::add_merge;
using testing::byte_tables;
using testing::load;
using testing::plain;
using testing::Tables;
using Ids = std::vector<TokenId>;

TEST(Bpe, TheLowestRankGoesFirstAndTheLeftmostOfEquals) {
    Tables tables = byte_tables();
    const TokenId bc = add_merge(tables, "b", "c");
    const TokenId ab = add_merge(tables, "a", "b");
    const TokenId aa = add_merge(tables, "a", "a");
    const TokenId abc = add_merge(tables, "ab", "c");
    const TokenId a_bc = add_merge(tables, "aa", "bc");
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(plain(*tokenizer, "abc"), (Ids{'a', bc})) << "b c has rank 0, so a b never happens and ab c cannot";
    EXPECT_EQ(plain(*tokenizer, "ab"), (Ids{ab}));
    EXPECT_EQ(plain(*tokenizer, "aaa"), (Ids{aa, 'a'}));
    EXPECT_EQ(plain(*tokenizer, "aabc"), (Ids{a_bc}));
    (void)abc;
}

// The two merge loops (short words, long words) must agree: a long word made of short ones that do not merge with each
// other.
TEST(Bpe, LongWordsMergeLikeShortOnes) {
    Tables tables = byte_tables();
    std::mt19937 random(7);
    std::vector<std::string> parts = {"a", "b", "c", "d"};
    for (int i = 0; i < 120; ++i) {
        const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
        if ((left + right).size() > 9 || std::count(parts.begin(), parts.end(), left + right) != 0) continue;
        add_merge(tables, left, right);
        parts.push_back(left + right);
    }
    const auto tokenizer = load(tables).value();
    for (int round = 0; round < 50; ++round) {
        std::string joined;
        Ids expected;
        for (int word = 0; word < 40; ++word) {
            std::string text;
            for (size_t n = 1 + random() % 12; n > 0; --n) text.push_back("abcd"[random() % 4]);
            text.push_back('z');  // z merges with nothing, so that words stay apart inside one run of letters
            const Ids ids = plain(*tokenizer, text);
            expected.insert(expected.end(), ids.begin(), ids.end());
            joined += text;
        }
        ASSERT_EQ(plain(*tokenizer, joined), expected) << joined;
    }
}

TEST(Bpe, RandomBytesSurviveTheRoundTrip) {
    for (const char* pre : {"gpt-2", "llama-bpe", "smollm", "qwen2", "qwen35", "default"}) {
        Tables tables = byte_tables(pre);
        add_merge(tables, "Ã", "©");
        add_merge(tables, "Ġ", "Ġ");
        const auto tokenizer = load(tables).value();
        std::mt19937 random(1);
        for (int round = 0; round < 300; ++round) {
            std::string text;
            for (size_t n = random() % 200; n > 0; --n)
                text.push_back(static_cast<char>(round % 2 == 0 ? random() : " \n'sé1aA\xC3\xA9\xE2"[random() % 12]));
            std::string storage;
            ASSERT_EQ(tokenizer->decode(plain(*tokenizer, text)),
                      normalize(text, find_pre_tokenizer(pre)->normalization, storage))
                << pre;
        }
    }
}

TEST(Bpe, AMegabyteOfOneCharacterIsNotQuadratic) {
    Tables tables = byte_tables("llama-bpe");
    std::string part = "a";
    for (int i = 0; i < 6; ++i) add_merge(tables, part, part), part += part;
    const auto tokenizer = load(tables).value();
    const size_t n = size_t{1} << 20;
    EXPECT_EQ(plain(*tokenizer, std::string(n, 'a')).size(), n / 64);
    for (const char c : {' ', '\n', '1', '-', '\'', '\xC3'})
        EXPECT_EQ(tokenizer->decode(plain(*tokenizer, std::string(n, c))), std::string(n, c));
}

TEST(Bpe, IgnoreMergesTakesAWholeWordThatNoMergeReaches) {
    for (const bool ignores : {false, true}) {
        Tables tables = byte_tables(ignores ? "llama-bpe" : "qwen2");
        const TokenId hello = static_cast<TokenId>(tables.tokens.size());
        tables.tokens.push_back("hello");
        tables.types.push_back(1);
        add_merge(tables, "x", "y");
        const auto tokenizer = load(tables).value();
        EXPECT_EQ(plain(*tokenizer, "hello"), ignores ? Ids{hello} : (Ids{'h', 'e', 'l', 'l', 'o'}));
    }
}

TEST(Bpe, BytesWithoutATokenAreLeftOut) {
    Tables tables = byte_tables();
    tables.tokens['q'] = "[unused]";
    add_merge(tables, "a", "b");
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(tokenizer->decode(plain(*tokenizer, "qabq q!")), "ab !");
}

}  // namespace
}  // namespace atlas
