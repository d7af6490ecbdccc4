// Files that leave out what a tokenizer needs to know: what is inferred instead, and that the notes report it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "runtime/text/infer_pre_tokenizer.h"
#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::load;
using testing::Tables;

// The tables of a file, to be written again without some of them.
Tables tables_of(const std::filesystem::path& path) {
    const auto file = gguf::File::open(path).value();
    Tables tables;
    tables.model = std::string(file.string("tokenizer.ggml.model").value());
    tables.pre = file.string_or("tokenizer.ggml.pre", "");
    tables.architecture = file.string_or("general.architecture", "");
    const auto tokens = file.strings("tokenizer.ggml.tokens"), merges = file.strings("tokenizer.ggml.merges");
    const auto types = file.integers("tokenizer.ggml.token_type");
    if (tokens) tables.tokens.assign(tokens->begin(), tokens->end());
    if (merges) tables.merges.assign(merges->begin(), merges->end());
    if (types)
        std::transform(types->begin(), types->end(), std::back_inserter(tables.types),
                       [](int64_t type) { return static_cast<int32_t>(type); });
    for (const char* key : {"bos", "eos", "unknown"})
        if (const auto id = file.u32(std::string("tokenizer.ggml.") + key + "_token_id"))
            tables.ids.emplace_back(key, *id);
    return tables;
}

std::string held_out_text() {
    std::ifstream file(std::string(ATLAS_TEST_DATA) + "/models/heldout.txt", std::ios::binary);
    return std::string((std::istreambuf_iterator<char>(file)), {}) + "<|im_start|>user\nHi<|im_end|>\n";
}

const std::string kTiny = std::string(ATLAS_TEST_DATA) + "/models/atlas-tiny-Q8_0.gguf";

// This text had other ids when it was cut by "default" without a note.
TEST(InferredTables, WithoutAPreTokenizerTheIdsStayAndTheUserIsTold) {
    Tables tables = tables_of(kTiny);
    const std::string text = held_out_text();
    const auto named = load(tables).value();
    EXPECT_TRUE(named->notes().empty());
    tables.pre.clear();
    const auto drafted = load(tables).value();
    EXPECT_EQ(drafted->encode(text, {.add_special = false}), named->encode(text, {.add_special = false}));
    ASSERT_EQ(drafted->notes().size(), 1u);
    EXPECT_NE(drafted->notes()[0].find("tokenizer.ggml.pre"), std::string::npos) << drafted->notes()[0];
}

TEST(InferredTables, WithoutTokenTypesTheIdsStayAndTheUserIsTold) {
    Tables tables = tables_of(kTiny);
    const std::string text = held_out_text();
    const auto named = load(tables).value();
    tables.types.clear();
    const auto drafted = load(tables).value();
    EXPECT_EQ(drafted->encode(text, {}), named->encode(text, {}));
    for (TokenId id = 0; id < named->n_vocab(); ++id) {
        ASSERT_EQ(drafted->is_control(id), named->is_control(id)) << named->piece(id, true);
        ASSERT_EQ(drafted->is_end_of_generation(id), named->is_end_of_generation(id)) << named->piece(id, true);
    }
    ASSERT_EQ(drafted->notes().size(), 1u);
    EXPECT_NE(drafted->notes()[0].find("tokenizer.ggml.token_type"), std::string::npos) << drafted->notes()[0];
}

TEST(InferredTables, SpmWithoutTokenTypesKeepsItsBytesAndControlTokens) {
    Tables tables;
    tables.model = "llama";
    for (const char* spelling : {"<unk>", "<s>", "</s>"}) tables.add(spelling);
    for (int byte = 0; byte < 256; ++byte) tables.add(fmt::format("<0x{:02X}>", byte));
    tables.add("▁", 1, -9), tables.add("a", 1, -9), tables.add("▁a", 1, -1);
    tables.types.clear();
    tables.ids = {{"bos", 1}, {"eos", 2}, {"unknown", 0}};
    const auto tokenizer = load(tables).value();
    EXPECT_EQ(tokenizer->decode(tokenizer->encode("a\n</s>", {})), "a\n");
    EXPECT_TRUE(tokenizer->is_end_of_generation(2));
    EXPECT_EQ(tokenizer->notes().size(), 1u);
}

TEST(InferredTables, FingerprintsAreOfRowsThatExist) {
    EXPECT_EQ(fingerprint({}), 0xCBF29CE484222325u);
    const std::vector<std::string> merges = {"a b", "ab c"};
    EXPECT_EQ(fingerprint(merges), 0xF7C54B8209DB52F4u);
}

// The right row cuts none of the tokens that were learned under it: digits one by one (Qwen2) or three at a time (Llama
// 3), a space that belongs to the next word alone (GPT-2).
TEST(InferredTables, TokensTellHowTextWasCut) {
    const auto drafted = [](std::initializer_list<std::pair<const char*, const char*>> merges) {
        Tables tables = testing::byte_tables("");
        for (const auto& [left, right] : merges) testing::add_merge(tables, left, right);
        const auto tokenizer = load(tables).value();
        EXPECT_EQ(tokenizer->notes().size(), 1u);
        return tokenizer;
    };
    const auto by_three = drafted({{"1", "2"}, {"12", "3"}, {"(", "a"}, {")", "Ċ"}, {"Ġ", "A"}});
    EXPECT_EQ(testing::plain(*by_three, "1234").size(), 2u);
    EXPECT_EQ(testing::plain(*by_three, "(a)\n").size(), 2u) << "GPT-2 would cut ( from a";
    const auto gpt2 = drafted({{"1", "2"}, {"12", "3"}, {"123", "4"}, {"Ġ", "1234"}, {"Ġ", "("}, {"Ġ", "A"}});
    EXPECT_EQ(testing::plain(*gpt2, " 1234").size(), 1u);
}

// Real vocabularies lie beside the repository on some machines only.
TEST(InferredTables, PublishedVocabulariesAreKnown) {
    const std::filesystem::path folder = std::filesystem::path(ATLAS_TEST_DATA) / "../../shared/data/vocab";
    if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no " << folder << " here";
    for (const char* name : {"gpt-2", "starcoder", "deepseek-coder"}) {
        Tables tables = tables_of(folder / (std::string(name) + ".gguf"));
        ASSERT_EQ(tables.pre, name);
        tables.pre.clear(), tables.architecture.clear();
        tables.merges.emplace_back("qzx qzx");  // one that a converter added
        const auto tokenizer = load(tables).value();
        ASSERT_EQ(tokenizer->notes().size(), 2u);
        EXPECT_NE(tokenizer->notes()[0].find("'" + std::string(name) + "' is used"), std::string::npos)
            << tokenizer->notes()[0];
        EXPECT_NE(tokenizer->notes()[1].find("qzx"), std::string::npos) << tokenizer->notes()[1];
        tables.merges.erase(tables.merges.begin() + 5000);  // no published vocabulary any more: by its tokens
        const auto by_tokens = load(tables).value();
        const std::string text = held_out_text();
        tables.pre = name;
        EXPECT_EQ(by_tokens->encode(text, {.add_special = false}),
                  load(tables).value()->encode(text, {.add_special = false}))
            << by_tokens->notes()[0];
    }
}

}  // namespace
}  // namespace atlas
