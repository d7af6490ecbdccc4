#include "runtime/text/stream_decoder.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/text/tables.h"

namespace atlas {
namespace {

using testing::add_merge;
using testing::byte_tables;
using testing::load;
using testing::plain;

std::shared_ptr<const Tokenizer> bytes() {
    auto tables = byte_tables();
    add_merge(tables, "l", "l");
    return load(tables).value();
}

// The output after each byte of `text`, joined with bars; then that of finish().
std::string stream(std::string_view text, std::vector<std::string> stops = {}) {
    StreamDecoder decoder(bytes(), std::move(stops));
    std::string out;
    for (const char c : text) out += decoder.push(static_cast<unsigned char>(c)) + "|";
    return out + decoder.finish() + (decoder.stopped() ? " stopped" : "");
}

TEST(StreamDecoder, NeverHalfACharacter) {
    EXPECT_EQ(stream("aé😀"), "a||é||||😀|");
    EXPECT_EQ(stream("\xE2\x82"), "||\uFFFD") << "one sign for one broken character";
    EXPECT_EQ(stream("\xE2\x82z"), "||\uFFFDz|");
    EXPECT_EQ(stream("\xFFz"), "\uFFFD|z|");
    EXPECT_EQ(stream("\xE2\xE2\x82\xAC"), "|\uFFFD||€|");
}

TEST(StreamDecoder, HoldsBackWhatMayBecomeAStopString) {
    EXPECT_EQ(stream("xabay", {"abc"}), "x|||ab|ay|") << "aba still ends in what may be a beginning";
    EXPECT_EQ(stream("xabcz", {"abc"}), "x||||| stopped");
    EXPECT_EQ(stream("aab", {"ab"}), "|a|| stopped");
    EXPECT_EQ(stream("xab", {"abc"}), "x|||ab") << "the end of the stream lets it out";
    EXPECT_EQ(stream("ab", {"", "b"}), "a|| stopped") << "an empty stop string stops nothing";
}

TEST(StreamDecoder, TheEarliestStopStringCounts) {
    StreamDecoder decoder(bytes(), {"lo", "ell"});
    EXPECT_EQ(decoder.push('h'), "h");
    EXPECT_EQ(decoder.push('e'), "");
    EXPECT_EQ(decoder.push(256), "");  // "ll"
    EXPECT_TRUE(decoder.stopped());
    EXPECT_EQ(decoder.push('x'), "");
    EXPECT_EQ(decoder.finish(), "");
}

TEST(StreamDecoder, PushesAddUpToDecode) {
    const auto tokenizer = bytes();
    std::mt19937 random(5);
    const std::vector<std::string> parts = {"a", "é", "😀", "한", " ", "\n", "ll", "\u0301", "stop"};
    for (int round = 0; round < 300; ++round) {
        std::string text;
        for (size_t n = random() % 40; n > 0; --n) text += parts[random() % parts.size()];
        StreamDecoder decoder(tokenizer, {"stopper", "éé😀한😀한😀"});
        std::string streamed;
        for (const TokenId token : plain(*tokenizer, text)) {
            streamed += decoder.push(token);
            ASSERT_TRUE(text.starts_with(streamed));
        }
        streamed += decoder.finish();
        if (!decoder.stopped()) {
            ASSERT_EQ(streamed, text);
        }
    }
}

TEST(StreamDecoder, TakesTheSpaceAwayThatSpmPutInFront) {
    testing::Tables tables;
    tables.model = "llama";
    const auto bos = tables.add("<s>", 3);
    const auto a = tables.add("▁a", 1, -1);
    const auto tokenizer = load(tables).value();
    StreamDecoder decoder(tokenizer, {});
    std::string text = decoder.push(bos);
    text += decoder.push(a);
    text += decoder.push(a);
    EXPECT_EQ(text + decoder.finish(), "a a");
    EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{bos, a, a}), "a a");
}

}  // namespace
}  // namespace atlas
