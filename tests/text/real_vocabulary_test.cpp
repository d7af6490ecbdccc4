// atlas-tiny's vocabulary, trained on real text, against the ids that another tokenizer (and llama.cpp) gave for the
// held-out text.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "runtime/text/tokenizer.h"

namespace atlas {
namespace {

TEST(RealVocabulary, HeldOutTextGivesTheKnownIds) {
    const std::string models = std::string(ATLAS_TEST_DATA) + "/models/";
    const auto file = gguf::File::open(models + "atlas-tiny-Q8_0.gguf");
    ASSERT_TRUE(file.has_value()) << file.error().message;
    const auto tokenizer = Tokenizer::load(*file).value();

    std::ifstream text_file(models + "heldout.txt", std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(text_file)), {});
    std::ifstream ids_file(models + "heldout.ids.txt");
    const std::vector<TokenId> expected((std::istream_iterator<TokenId>(ids_file)), {});
    ASSERT_GT(expected.size(), 10'000u);

    // The list begins with BOS.
    const auto ids = tokenizer->encode(text, {.add_special = false});
    EXPECT_EQ(ids, std::vector<TokenId>(expected.begin() + 1, expected.end()));
    EXPECT_EQ(expected.front(), tokenizer->bos());
    EXPECT_EQ(tokenizer->decode(ids), text);
}

}  // namespace
}  // namespace atlas
