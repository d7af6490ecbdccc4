#include "runtime/base/edit_distance.h"

#include <gtest/gtest.h>

namespace atlas {
namespace {

TEST(EditDistance, CountsTypingMistakes) {
    EXPECT_EQ(edit_distance("", ""), 0u);
    EXPECT_EQ(edit_distance("run", ""), 3u);
    EXPECT_EQ(edit_distance("", "run"), 3u);
    EXPECT_EQ(edit_distance("bench", "bench"), 0u);
    EXPECT_EQ(edit_distance("bensch", "bench"), 1u) << "a letter more";
    EXPECT_EQ(edit_distance("benh", "bench"), 1u) << "a letter less";
    EXPECT_EQ(edit_distance("bemch", "bench"), 1u) << "another letter";
    EXPECT_EQ(edit_distance("bnech", "bench"), 1u) << "two swapped";
    EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace atlas
