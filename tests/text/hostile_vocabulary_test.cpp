// Hostile vocabularies: a clear error or a tokenizer that works; no crash, no endless work.
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <random>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::add_merge;
using testing::byte_tables;
using testing::load;
using testing::Tables;

void expect_error(const Tables& tables, ErrorCode code, std::initializer_list<const char*> words) {
    const auto tokenizer = load(tables);
    ASSERT_FALSE(tokenizer.has_value());
    EXPECT_EQ(tokenizer.error().code, code) << tokenizer.error().message;
    for (const char* word : words)
        EXPECT_NE(tokenizer.error().message.find(word), std::string::npos)
            << word << " in: " << tokenizer.error().message;
}

Tables good_bpe() {
    Tables tables = byte_tables();
    add_merge(tables, "a", "b");
    return tables;
}

Tables good_spm() {
    Tables tables;
    tables.model = "llama";
    tables.add("<unk>", 2), tables.add("▁", 1, -1), tables.add("a", 1, -2);
    return tables;
}

TEST(HostileVocabulary, UnknownKindsAreNamedWithTheKnownOnes) {
    Tables tables = good_bpe();
    tables.model = "wordle";
    expect_error(tables, ErrorCode::unsupported, {"tokenizer.ggml.model", "wordle", "gpt2", "llama"});
    tables = good_bpe();
    tables.pre = "no-such-name";
    expect_error(tables, ErrorCode::unsupported, {"tokenizer.ggml.pre", "no-such-name", "qwen2", "llama-bpe"});
}

TEST(HostileVocabulary, MissingTables) {
    Tables tables = good_bpe();
    tables.tokens.clear();
    expect_error(tables, ErrorCode::not_found, {"tokenizer.ggml.tokens"});
    tables = good_bpe();
    tables.merges.clear();
    expect_error(tables, ErrorCode::not_found, {"tokenizer.ggml.merges"});
    tables = good_spm();
    tables.scores.clear();
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.scores"});
}

TEST(HostileVocabulary, TablesOfDifferentLengths) {
    Tables tables = good_bpe();
    tables.types.pop_back();
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.token_type", "256", "257"});
    tables = good_spm();
    tables.scores.push_back(1);
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.scores", "4", "3"});
}

TEST(HostileVocabulary, ValuesOutOfRange) {
    Tables tables = good_bpe();
    tables.types[7] = 99;
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.token_type", "token 7", "99"});
    for (const char* key : {"bos", "eos", "eot", "eom", "unknown"}) {
        tables = good_bpe();
        tables.ids = {{key, 257}};
        expect_error(tables, ErrorCode::corrupt, {key, "257", "256"});
    }
    tables = good_bpe();
    tables.ids = {{"bos", UINT32_MAX}};
    EXPECT_EQ(load(tables).value()->bos(), std::nullopt) << "converters write -1 for none";
    tables = good_spm();
    tables.scores[1] = std::numeric_limits<float>::quiet_NaN();
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.scores", "token 1"});
}

// Pruned vocabularies have merges whose result is gone. They refused the whole model.
TEST(HostileVocabulary, MergesThatCannotApplyAreLeftOutAndNoted) {
    for (const char* merge : {"", " ", "a", "a ", " a", "ab", "a zz", "zz a", "a c"}) {
        Tables tables = good_bpe();
        tables.merges.emplace_back(merge);
        const auto tokenizer = load(tables).value();
        EXPECT_EQ(tokenizer->encode("ab", {}), std::vector<TokenId>{256}) << "the other merge still applies";
        ASSERT_EQ(tokenizer->notes().size(), 1u) << merge;
        for (const char* word : {"tokenizer.ggml.merges", "1 of 2 merges", "entry 1", merge})
            EXPECT_NE(tokenizer->notes()[0].find(word), std::string::npos) << tokenizer->notes()[0];
    }
    Tables tables = good_bpe();
    tables.merges = {"a\x1b[2J zz", "a c"};
    expect_error(tables, ErrorCode::corrupt, {"tokenizer.ggml.merges", "none of the 2 merges", "entry 0", "\\x1b"});
}

TEST(HostileVocabulary, HugeTokens) {
    Tables tables = good_bpe();
    tables.tokens.emplace_back(1 << 17, 'x');
    tables.types.push_back(3);
    expect_error(tables, ErrorCode::limit, {"tokenizer.ggml.tokens", "token 257", "131072"});
}

TEST(HostileVocabulary, LongSpecialTokensOfOneCharacterStayLinear) {
    Tables tables = good_bpe();
    for (int i = 0; i < 50; ++i) {
        tables.tokens.emplace_back(60'000 + i, 'a');
        tables.types.push_back(4);
    }
    const auto tokenizer = load(tables).value();
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(tokenizer->encode(std::string(59'999, 'a') + "b" + std::string(59'999, 'a'), {}).empty());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20))
        << "120,000 * 60,000 * 50 steps would take hours";
}

// Random tables, mostly broken; those that load must encode and decode anything, and give ids in range.
TEST(HostileVocabulary, RandomTables) {
    std::mt19937 random(11);
    const std::vector<std::string> spellings = {
        "",       "a",      "b",   "ab",   "ba",   "aba",      "Ġ",       "Ġa", "▁",  "▁a", "a▁", "<0x0A>",
        "<0xFF>", "<0xzz>", "<s>", "</s>", "\xFF", "\xE2\x96", "<|end|>", " ",  "  ", "é",  "Ã©", "😀"};
    const std::vector<std::string> models = {"gpt2", "gpt2", "llama", "llama", "bert"};
    const std::vector<std::string> names = {"gpt-2",   "default",      "llama-bpe", "superbpe",
                                            "kimi-k2", "deepseek-llm", "",          "x"};
    int loaded = 0;
    for (int round = 0; round < 400; ++round) {
        const auto pick = [&](const std::vector<std::string>& from) { return from[random() % from.size()]; };
        Tables tables;
        tables.model = pick(models);
        tables.pre = pick(names);
        for (size_t n = 1 + random() % 40; n > 0; --n)
            tables.add(pick(spellings), static_cast<int32_t>(random() % 20 == 0 ? random() % 9 : 1 + random() % 6),
                       static_cast<float>(random() % 5));
        if (random() % 10 == 0) tables.scores.pop_back();
        for (size_t n = random() % 4; n > 0; --n) {
            const std::string left = pick(tables.tokens), right = pick(tables.tokens);
            tables.merges.push_back(left + " " + right);
            if (random() % 8 != 0) tables.add(left + right), tables.scores.resize(tables.tokens.size());
        }
        tables.ids = {{"bos", static_cast<uint32_t>(random() % (tables.tokens.size() + 1))}};
        tables.flags = {{"add_bos_token", random() % 2 == 0}};
        const auto tokenizer = load(tables);
        if (!tokenizer) {
            EXPECT_FALSE(tokenizer.error().message.empty());
            continue;
        }
        ++loaded;
        for (int texts = 0; texts < 5; ++texts) {
            std::string text;
            for (size_t n = random() % 30; n > 0; --n)
                text += random() % 6 == 0 ? std::string(1, static_cast<char>(random())) : pick(spellings);
            const auto ids =
                (*tokenizer)->encode(text, {.add_special = random() % 2 == 0, .parse_special = random() % 2 == 0});
            for (const TokenId id : ids) ASSERT_LT(id, (*tokenizer)->n_vocab());
            (*tokenizer)->decode(ids, true);
        }
    }
    EXPECT_GT(loaded, 40) << "the generator makes hardly anything that loads, so this tests nothing";
}

}  // namespace
}  // namespace atlas
