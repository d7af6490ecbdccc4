#include <gtest/gtest.h>

#include "runtime/base/units.h"

namespace atlas {
namespace {

TEST(ParseBytes, TakesWhatPeopleType) {
    EXPECT_EQ(parse_bytes("4096").value(), 4096u);
    EXPECT_EQ(parse_bytes("12G").value(), 12 * kGiB);
    EXPECT_EQ(parse_bytes("1.5GiB").value(), kGiB + kGiB / 2);
    EXPECT_EQ(parse_bytes("800m").value(), 800 * kMiB);
    EXPECT_EQ(parse_bytes("3kb").value(), 3 * kKiB);
    EXPECT_EQ(parse_bytes("0").value(), 0u);
}

// No user means 16 bytes by 16.
TEST(ParseBytes, ASmallBareNumberMeansGiB) {
    EXPECT_EQ(parse_bytes("1").value(), kGiB);
    EXPECT_EQ(parse_bytes("0.5").value(), kGiB / 2);
    EXPECT_EQ(parse_bytes("4095").value(), 4095 * kGiB);
    EXPECT_EQ(parse_bytes("4096").value(), 4096u);
    EXPECT_EQ(parse_bytes("1B").value(), 1u);
}

TEST(ParseBytes, RefusesTheRest) {
    for (const char* text : {"", "G", "-1G", "12X", "12GG", "1e300T", "nan", "inf", "12 G", "9999999999T"}) {
        EXPECT_FALSE(parse_bytes(text).has_value()) << text;
    }
}

}  // namespace
}  // namespace atlas
