#include <gtest/gtest.h>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::add_merge;
using testing::byte_tables;
using testing::load;
using testing::Tables;
using Ids = std::vector<TokenId>;

TokenId add(Tables& tables, const std::string& spelling, int32_t type) {
    tables.tokens.push_back(spelling);
    tables.types.push_back(type);
    return static_cast<TokenId>(tables.tokens.size() - 1);
}

struct Special : ::testing::Test {
    Tables tables = byte_tables();
    TokenId control, user, shorter, longer;
    Special() {
        add_merge(tables, "x", "y");
        control = add(tables, "<|c|>", 3);
        user = add(tables, "  ", 4);
        shorter = add(tables, "ab", 4);
        longer = add(tables, "bcd", 4);
    }
    Ids encode(std::string_view text, bool parse) {
        return load(tables).value()->encode(text, {.add_special = false, .parse_special = parse});
    }
};

TEST_F(Special, ControlTokensOnlyWhenAskedFor) {
    EXPECT_EQ(encode("1<|c|>2", true), (Ids{'1', control, '2'}));
    EXPECT_EQ(encode("1<|c|>2", false), (Ids{'1', '<', '|', 'c', '|', '>', '2'}));
}

TEST_F(Special, UserDefinedTokensAlways) { EXPECT_EQ(encode("1   2", false), (Ids{'1', user, ' ', '2'})); }

TEST_F(Special, TheLongerSpellingWinsWhereverItIs) {
    EXPECT_EQ(encode("abcd", false), (Ids{'a', longer})) << "not ab from the left";
}

TEST_F(Special, TheSameSpellingFromTheLeft) { EXPECT_EQ(encode("ababab", false), (Ids{shorter, shorter, shorter})); }

TEST_F(Special, PiecesOfControlTokensAreEmptyUnlessAskedFor) {
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(tokenizer->piece(control), "");
    EXPECT_EQ(tokenizer->piece(control, true), "<|c|>");
    EXPECT_EQ(tokenizer->piece(user), "  ");
    EXPECT_EQ(tokenizer->piece(999'999), "");
    EXPECT_TRUE(tokenizer->is_control(control));
    EXPECT_FALSE(tokenizer->is_control(user));
    EXPECT_EQ(tokenizer->find("<|c|>"), control);
    EXPECT_EQ(tokenizer->find("no such"), std::nullopt);
}

TEST_F(Special, Phi3SwallowsTheSpaceBehind) {
    const TokenId end = add(tables, "<|end|>", 3), text = add(tables, "<|endoftext|>", 3);
    EXPECT_EQ(encode("<|end|> \n1<|endoftext|> 2", true), (Ids{end, ' ', '\n', '1', text, ' ', '2'}));
    tables.name = "Phi-3 mini";
    EXPECT_EQ(encode("<|end|> \n1<|endoftext|> 2", true), (Ids{end, '1', text, ' ', '2'}));
}

TEST_F(Special, JinaSwallowsTheSpaceBeforeMask) {
    const TokenId mask = add(tables, "<mask>", 3);
    tables.pre = "jina-v2-de";
    EXPECT_EQ(encode("1 <mask> 2", true), (Ids{'1', mask, ' ', '2'}));
}

TEST_F(Special, ManyOverlappingSpellings) {
    for (size_t n = 3; n <= 30; ++n) add(tables, std::string(n, '\n'), 4);
    std::string text(100, '\n');
    EXPECT_EQ(encode(text, true).size(), 4u) << "30 + 30 + 30 + 10";
}

TEST(EndOfGeneration, ByKeyAndByFamily) {
    Tables tables = byte_tables();
    add_merge(tables, "x", "y");
    const TokenId eos = add(tables, "[stop]", 3), eot = add(tables, "[turn]", 3), im_end = add(tables, "<|im_end|>", 1),
                  prefix = add(tables, "<fim_prefix>", 1);
    tables.ids = {{"eos", eos}, {"eot", eot}};
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(tokenizer->eos(), eos);
    for (const TokenId id : {eos, eot, im_end}) EXPECT_TRUE(tokenizer->is_end_of_generation(id));
    EXPECT_FALSE(tokenizer->is_end_of_generation(prefix));
    EXPECT_TRUE(tokenizer->is_control(im_end)) << "stored as a normal token, but no merge makes it";
    EXPECT_TRUE(tokenizer->is_control(prefix));
    EXPECT_FALSE(tokenizer->is_end_of_generation('x'));
    ASSERT_EQ(tokenizer->notes().size(), 1u);
    EXPECT_NE(tokenizer->notes()[0].find("2 of them, the first is '<|im_end|>'"), std::string::npos)
        << tokenizer->notes()[0];
}

// Qwen2's vocabulary has "</s>" as a normal token, made by merges. It was taken for a control token and an end of
// generation.
TEST(EndOfGeneration, ANormalTokenIsTextWhateverItsSpelling) {
    for (const char* spelling : {"</s>", "<eos>", "<PAD>", "<EOT>", "<REPO>", "<PRE>", "[PAD]"}) {
        Tables tables = byte_tables("qwen2");
        std::string part(1, spelling[0]);
        for (const char* c = spelling + 1; *c != 0; ++c) add_merge(tables, part, std::string(1, *c)), part += *c;
        const TokenId whole = static_cast<TokenId>(tables.tokens.size() - 1);
        const TokenId eos = add(tables, "<|im_end|>", 3);
        tables.ids = {{"eos", eos}};
        const auto tokenizer = load(tables).value();
        EXPECT_FALSE(tokenizer->is_end_of_generation(whole)) << spelling;
        EXPECT_FALSE(tokenizer->is_control(whole)) << spelling;
        EXPECT_EQ(tokenizer->piece(whole), spelling);
        EXPECT_TRUE(tokenizer->is_end_of_generation(eos));
        const std::string html = "<b>" + std::string(spelling) + "x";
        EXPECT_EQ(tokenizer->encode(html, {.parse_special = true}), tokenizer->encode(html, {.parse_special = false}))
            << spelling;
        EXPECT_TRUE(tokenizer->notes().empty());
    }
}

// Gemma's tags of HTML are user-defined tokens, and so are Qwen2.5's fill-in-the-middle tokens: the file decides what
// they are.
TEST(EndOfGeneration, KindsStayWhatTheFileSays) {
    Tables tables = byte_tables();
    add_merge(tables, "x", "y");
    const TokenId strike = add(tables, "</s>", 4), prefix = add(tables, "<|fim_prefix|>", 4),
                  pad = add(tables, "<|fim_pad|>", 4);
    const auto tokenizer = load(tables).value();
    EXPECT_FALSE(tokenizer->is_end_of_generation(strike));
    EXPECT_FALSE(tokenizer->is_control(prefix));
    EXPECT_TRUE(tokenizer->is_end_of_generation(pad));
    EXPECT_EQ(tokenizer->encode("<|fim_prefix|>", {.parse_special = false}), (Ids{prefix}))
        << "the original tokenizer finds added tokens in any text";
    EXPECT_EQ(tokenizer->piece(prefix), "<|fim_prefix|>");
}

TEST(EndOfGeneration, AWordIsNeverAControlToken) {
    Tables tables = byte_tables("llama-bpe");
    add_merge(tables, "x", "y");
    const TokenId control = add(tables, "hello", 3);
    EXPECT_EQ(load(tables).value()->encode("hello", {.parse_special = false}).size(), 5u)
        << "words that are whole tokens are normal ones";
    EXPECT_EQ(load(tables).value()->encode("hello", {.parse_special = true}), (Ids{control}));
}

TEST(EndOfGeneration, HarmonyGoesOnAfterAMessage) {
    Tables tables = byte_tables();
    add_merge(tables, "x", "y");
    const TokenId end = add(tables, "<|end|>", 3);
    EXPECT_TRUE(load(tables).value()->is_end_of_generation(end)) << "Phi";
    const TokenId returns = add(tables, "<|return|>", 3);
    add(tables, "<|call|>", 3);
    EXPECT_FALSE(load(tables).value()->is_end_of_generation(end));
    EXPECT_TRUE(load(tables).value()->is_end_of_generation(returns));
}

}  // namespace
}  // namespace atlas
