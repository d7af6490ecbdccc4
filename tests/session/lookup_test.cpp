// Draft tokens from earlier text.
#include "runtime/session/speculation/lookup.h"

#include <gtest/gtest.h>

#include <numeric>

namespace atlas {
namespace {

std::vector<uint32_t> draft_tokens(LookupSpeculator& lookup, uint32_t most) {
    Proposal proposal;
    EXPECT_TRUE(lookup.propose(most, proposal));
    EXPECT_EQ(proposal.tokens.size(), proposal.evidence.size());
    return proposal.tokens;
}

using Tokens = std::vector<uint32_t>;

TEST(Lookup, GoesOnAsTheLongestMatchDid) {
    LookupSpeculator lookup;
    ASSERT_TRUE(lookup.begin(Tokens{1, 2, 3, 4, 5, 9, 2, 3, 7, 8, 1, 2, 3}));
    EXPECT_EQ(draft_tokens(lookup, 4), (Tokens{4, 5, 9, 2})) << "1 2 3 is longer than 2 3";
    EXPECT_EQ(draft_tokens(lookup, 1), (Tokens{4}));
    ASSERT_TRUE(lookup.accept(4));
    EXPECT_EQ(draft_tokens(lookup, 2), (Tokens{5, 9}));
    ASSERT_TRUE(lookup.accept(77));
    EXPECT_TRUE(draft_tokens(lookup, 4).empty()) << "77 did not occur before";
}

TEST(Lookup, ACopyThatReachesItselfGoesOn) {
    LookupSpeculator lookup;
    ASSERT_TRUE(lookup.begin(Tokens{5, 6, 5, 6, 5}));
    EXPECT_EQ(draft_tokens(lookup, 7), (Tokens{6, 5, 6, 5, 6, 5, 6}));
    ASSERT_TRUE(lookup.begin(Tokens{3, 3, 3}));
    EXPECT_EQ(draft_tokens(lookup, 3), (Tokens{3, 3, 3}));
}

TEST(Lookup, FilesAreReadAndDoNotRunIntoEachOther) {
    LookupSpeculator lookup;
    ASSERT_TRUE(lookup.add_file(Tokens{10, 11, 12}));
    ASSERT_TRUE(lookup.add_file(Tokens{20, 21, 22, 23}));
    ASSERT_TRUE(lookup.begin(Tokens{1, 10, 11}));
    EXPECT_EQ(draft_tokens(lookup, 9), (Tokens{12})) << "no proposal goes past the end of a file";
    ASSERT_TRUE(lookup.begin(Tokens{1, 20, 21}));
    EXPECT_EQ(draft_tokens(lookup, 9), (Tokens{22, 23}));
    EXPECT_EQ(lookup.add_file(Tokens(LookupSpeculator::kMostTokens, 1)).error().code, ErrorCode::limit);
}

TEST(Lookup, AConversationThatGoesOnKeepsItsPast) {
    LookupSpeculator lookup;
    ASSERT_TRUE(lookup.begin(Tokens{1, 2, 3}));
    for (const uint32_t token : {40u, 41u, 42u}) ASSERT_TRUE(lookup.accept(token));
    ASSERT_TRUE(lookup.begin(Tokens{1, 2, 3, 40, 41, 42, 50, 40, 41}));
    EXPECT_EQ(draft_tokens(lookup, 2), (Tokens{42, 50}));
    ASSERT_TRUE(lookup.begin(Tokens{7, 42, 50})) << "another conversation";
    EXPECT_EQ(draft_tokens(lookup, 3), (Tokens{40, 41})) << "what was said before may be said again, up to its end";
}

TEST(Lookup, AfterAChangedWordTheCopyGoesOn) {
    // A file of different tokens with a few that occur everywhere, as brackets do.
    Tokens file(60);
    for (uint32_t i = 0; i < 60; ++i) file[i] = i % 4 == 0 ? 5 : 100 + i;
    LookupSpeculator lookup;
    Tokens prompt = file;
    prompt.insert(prompt.end(), {5, 900});
    for (uint32_t i = 0; i < 17; ++i) prompt.push_back(file[i]);
    ASSERT_TRUE(lookup.begin(prompt));
    for (uint32_t i = 17; i < 31; ++i) {
        EXPECT_EQ(draft_tokens(lookup, 1), (Tokens{file[i]}));
        ASSERT_TRUE(lookup.accept(file[i]));
    }
    // Two new tokens replace token 31; then 5, which occurs everywhere, then what followed.
    for (const uint32_t token : {777u, 778u, 5u}) ASSERT_TRUE(lookup.accept(token));
    EXPECT_EQ(draft_tokens(lookup, 3), (Tokens{file[33], file[34], file[35]}));
}

TEST(Lookup, ClassesGrowWithTheMatch) {
    uint8_t last = 0;
    for (uint32_t length = 1; length < 200; ++length) {
        const uint8_t now = LookupSpeculator::evidence_of(length);
        EXPECT_GE(now, last);
        EXPECT_LT(now, kEvidenceClasses);
        last = now;
    }
    EXPECT_EQ(LookupSpeculator::evidence_of(1), 0);
    EXPECT_EQ(last, 11);
}

TEST(Lookup, AVeryLongConversationStartsOver) {
    LookupSpeculator lookup;
    Tokens half(LookupSpeculator::kMostTokens / 2 - 10);
    std::iota(half.begin(), half.end(), 0u);
    ASSERT_TRUE(lookup.begin(half));
    half[0] = 5;
    ASSERT_TRUE(lookup.begin(half));
    half[0] = 6;
    ASSERT_TRUE(lookup.begin(half)) << "the third does not fit after the others";
    ASSERT_TRUE(lookup.accept(100));
    EXPECT_EQ(draft_tokens(lookup, 2), (Tokens{101, 102}));
}

}  // namespace
}  // namespace atlas
