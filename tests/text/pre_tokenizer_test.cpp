#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "runtime/text/pre_tokenizers.h"
#include "runtime/text/splitter.h"

namespace atlas {
namespace {

constexpr std::array<std::string_view, 8> kTexts = {
    "I've DON'T we'LL 'tis",
    "HelloWorld.iPhone x2y",
    "  if (a<=b)  return ~x;\n\n\n\t}\r\n end  ",
    "1234567 12 ½²³ x1,000",
    "Äpfel straße ЯблокоЯ e\u0301A\u0301b",
    "我想在apple工作、カタカナ　（한국어）",
    "!!/ //\n\?\?.A -x_y $5^2`q`",
    "नमस्ते 🙂\u200d🌫️ \u00a0x",
};

struct Cuts {
    std::string_view name;
    std::array<std::string_view, kTexts.size()> cut;
};

const Cuts kCuts[] = {
#include "tests/text/pre_tokenizer_cuts.inc"
};

std::string cut(const Splitter& splitter, std::string_view text) {
    std::vector<size_t> words;
    splitter.split(text, words);
    std::string result;
    for (const size_t bytes : words) {
        if (!result.empty()) result += '|';
        result += text.substr(0, bytes);
        text.remove_prefix(bytes);
    }
    return result;
}

TEST(PreTokenizers, CutAsTheModelsExpect) {
    for (const Cuts& expected : kCuts) {
        const PreTokenizer* row = find_pre_tokenizer(expected.name);
        ASSERT_NE(row, nullptr) << expected.name;
        const Splitter splitter(row->patterns);
        for (size_t i = 0; i < kTexts.size(); ++i)
            EXPECT_EQ(cut(splitter, kTexts[i]), expected.cut[i]) << expected.name;
    }
    // Rows that differ in normalization alone share their patterns.
    for (const PreTokenizer& row : pre_tokenizers()) {
        const auto same = [&](const Cuts& cuts) {
            return find_pre_tokenizer(cuts.name)->patterns.data() == row.patterns.data();
        };
        EXPECT_TRUE(std::any_of(std::begin(kCuts), std::end(kCuts), same))
            << "a row without an expectation: " << row.names;
    }
}

TEST(PreTokenizers, NamesAreFoundWholeAndOnce) {
    EXPECT_EQ(find_pre_tokenizer("llama"), nullptr);
    EXPECT_EQ(find_pre_tokenizer(""), nullptr);
    EXPECT_EQ(find_pre_tokenizer("gpt-2 phi-2"), nullptr);
    for (const PreTokenizer& row : pre_tokenizers())
        for (const char* name : {"qwen2", "deepseek-r1-qwen", "granite-docling", "jina-v2-code"})
            if ((" " + std::string(row.names) + " ").find(std::string(" ") + name + " ") != std::string::npos) {
                EXPECT_EQ(find_pre_tokenizer(name), &row);
            }
}

// Every byte is in exactly one word, whatever comes in; and no text, however odd, hits a limit of the matcher.
TEST(PreTokenizers, WordsAddUpToTheText) {
    std::mt19937 random(3);
    for (const PreTokenizer& row : pre_tokenizers()) {
        const Splitter splitter(row.patterns);
        std::vector<size_t> words;
        for (int round = 0; round < 200; ++round) {
            std::string text;
            for (size_t n = random() % 100; n > 0; --n)
                text.push_back(
                    static_cast<char>(round % 2 == 0 ? random() : "aB1 \n'\xE4\xB8\x80\xCC\x81\xFF."[random() % 12]));
            splitter.split(text, words);
            size_t sum = 0;
            for (const size_t bytes : words) {
                ASSERT_GT(bytes, 0u);
                sum += bytes;
            }
            ASSERT_EQ(sum, text.size()) << row.names;
        }
    }
}

TEST(PreTokenizers, LongRunsTakeLinearTime) {
    for (const PreTokenizer& row : pre_tokenizers()) {
        const Splitter splitter(row.patterns);
        for (const std::string_view unit : {"a", "A", " ", "\n", "1", "-", "'", "\xFF", "é", "一", "\u0301", "a ", " a",
                                            "aA", "Aa", "1a", "\r\n", " \n", "a\u0301"}) {
            std::string text;
            while (text.size() < 200'000) text += unit;
            std::vector<size_t> words;
            splitter.split(text, words);  // quadratic work would be 10^10 steps and run into the test's time limit
            ASSERT_FALSE(words.empty()) << row.names;
        }
    }
}

TEST(Splitter, BytesThatAreNoTextKeepTheirPlace) {
    const Splitter splitter(find_pre_tokenizer("gpt-2")->patterns);
    EXPECT_EQ(cut(splitter, "ab \xFF\xFE\xC3 c\xE2\x82"), "ab| \xFF\xFE\xC3| c|\xE2\x82");
}

TEST(Splitter, ThousandsCountFromTheRight) {
    constexpr SplitPattern kInside[] = {{"[0-9]++", SplitPattern::thousands}};
    EXPECT_EQ(cut(Splitter(kInside), "x1234567y 12 123 1234"), "x1|234|567y 12 123 1|234");
    constexpr SplitPattern kAndEnd[] = {{"[0-9]++", SplitPattern::thousands_and_end}};
    EXPECT_EQ(cut(Splitter(kAndEnd), "x1234567y 12 123"), "x1|234|567|y 12| 123");
}

}  // namespace
}  // namespace atlas
