#include "runtime/text/normalize.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::Tables;

std::string nfc(std::string_view text) {
    std::string storage;
    return std::string(normalize(text, Normalization::nfc, storage));
}

nlohmann::json goldens() {
    std::ifstream file(std::string(ATLAS_TEST_DATA) + "/golden/nfc_cases.json");
    return nlohmann::json::parse(file);
}

// The oracle is the original tokenizers' library (make_tokenizer_goldens.py). llama.cpp does not compose and gives
// other ids.
TEST(Normalize, IsNfcAsTheOriginalTokenizersHaveIt) {
    const auto golden = goldens();
    ASSERT_GT(golden["cases"].size(), 90u);
    for (const auto& c : golden["cases"])
        EXPECT_EQ(nfc(c["text"].get<std::string>()), c["nfc"].get<std::string>()) << c["text"];
}

TEST(Normalize, Qwen2IdsAreThoseOfTheOriginalTokenizer) {
    const auto golden = goldens();
    Tables tables;
    tables.pre = "qwen2";
    golden["tokens"].get_to(tables.tokens);
    golden["merges"].get_to(tables.merges);
    tables.types.assign(tables.tokens.size(), 1);
    for (size_t i = 0; i < golden["n_added"].get<size_t>(); ++i) tables.types[tables.types.size() - 1 - i] = 3;
    const auto tokenizer = testing::load(tables).value();
    tables.pre = "kormo";  // the same cuts, text as it was typed
    const auto as_typed = testing::load(tables).value();
    int composing_matters = 0;
    for (const auto& c : golden["cases"]) {
        const auto text = c["text"].get<std::string>();
        const auto ids = tokenizer->encode(text, {.add_special = false});
        EXPECT_EQ(ids, c["ids"].get<std::vector<TokenId>>()) << text;
        EXPECT_EQ(tokenizer->decode(ids, true), c["nfc"].get<std::string>()) << text;
        EXPECT_EQ(as_typed->decode(as_typed->encode(text, {.add_special = false}), true), text);
        composing_matters += as_typed->encode(text, {.add_special = false}) != ids;
    }
    EXPECT_GT(composing_matters, 40) << "the cases tell nothing of normalization";
}

TEST(Normalize, LeavesWhatIsNotTextAlone) {
    EXPECT_EQ(nfc("e\xFF\u0301"), "e\xFF\u0301") << "nothing composes across a byte that is not UTF-8";
    EXPECT_EQ(nfc("e\u0301\xE2\x82"), "\u00e9\xE2\x82");
    EXPECT_EQ(nfc("\xCC\xCC\x81\xFF e\u0301\xFF"), "\xCC\xCC\x81\xFF \u00e9\xFF");
    std::string storage;
    const std::string text = "caf\u00e9 e\u0301";
    EXPECT_EQ(normalize(text, Normalization::none, storage).data(), text.data());
    const std::string plain = "na\u00efve \u024f";
    EXPECT_EQ(normalize(plain, Normalization::nfc, storage).data(), plain.data())
        << "not copied where nothing can change";
}

TEST(Normalize, AMegabyteOfMarksIsNotQuadratic) {
    std::string text = "a";
    while (text.size() < (1u << 20)) text += "\u0301\u0323";  // every second one has to move to the front
    const auto begin = std::chrono::steady_clock::now();
    const std::string composed = nfc(text);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20))
        << "moving marks one by one takes 10^10 steps";
    EXPECT_TRUE(composed.starts_with("\u1ea1\u0323\u0323"));
    EXPECT_TRUE(composed.ends_with("\u0301\u0301"));
}

}  // namespace
}  // namespace atlas
