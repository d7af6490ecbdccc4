#include "quant/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

namespace atlas {
namespace {

// The value of a half by its definition.
double defined_value(uint32_t half) {
    const double sign = (half & 0x8000u) != 0 ? -1.0 : 1.0;
    const int exponent = static_cast<int>(half >> 10 & 31u);
    const int mantissa = static_cast<int>(half & 1023u);
    if (exponent == 31) return mantissa != 0 ? std::nan("") : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(mantissa, -24);
    return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Half, EveryPatternHasItsDefinedValueAndComesBack) {
    for (uint32_t half = 0; half < 65536; ++half) {
        const float value = half_to_float(static_cast<uint16_t>(half));
        const double want = defined_value(half);
        if (std::isnan(want)) {
            ASSERT_TRUE(std::isnan(value)) << half;
            ASSERT_TRUE(std::isnan(half_to_float(float_to_half(value)))) << half;
        } else {
            ASSERT_EQ(static_cast<double>(value), want) << half;
            ASSERT_EQ(std::signbit(value), (half & 0x8000u) != 0) << half;
            ASSERT_EQ(float_to_half(value), half);
        }
    }
}

// Between each pair of neighbours: just below the middle goes down, just above goes up, the middle to the even one.
TEST(Half, RoundsToNearestEven) {
    for (uint32_t half = 0; half < 0x7BFFu; ++half) {
        const double low = defined_value(half);
        const auto middle = static_cast<float>((low + defined_value(half + 1)) / 2);  // exact in single precision
        ASSERT_EQ(float_to_half(std::nextafter(middle, 0.0f)), half);
        ASSERT_EQ(float_to_half(std::nextafter(middle, INFINITY)), half + 1);
        ASSERT_EQ(float_to_half(middle), half % 2 == 0 ? half : half + 1);
        ASSERT_EQ(float_to_half(-middle), 0x8000u | (half % 2 == 0 ? half : half + 1));
    }
    EXPECT_EQ(float_to_half(65519.996f), 0x7BFF);
    EXPECT_EQ(float_to_half(65520.0f), 0x7C00);
    EXPECT_EQ(float_to_half(-INFINITY), 0xFC00);
}

TEST(Bf16, RoundsToNearestEvenAndKeepsNan) {
    EXPECT_EQ(float_to_bf16(1.0f), 0x3F80);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808000u)), 0x3F80);  // tie, down to even
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F818000u)), 0x3F82);  // tie, up to even
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3F808001u)), 0x3F81);
    EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x7F7FFFFFu)), 0x7F80);  // beyond the largest
    EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7F800001u)))));
    EXPECT_EQ(bf16_to_float(0xC040), -3.0f);
}

TEST(HalfE8m0, IsHalfThePowerOfTwo) {
    for (int e = 0; e < 256; ++e)
        ASSERT_EQ(half_e8m0_to_float(static_cast<uint8_t>(e)), std::ldexp(1.0f, e - 128)) << e;
}

}  // namespace
}  // namespace atlas
