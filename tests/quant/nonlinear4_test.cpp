#include "quant/nonlinear4.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace atlas {
namespace {

// Against the definition, on a grid finer than the table's and beyond both ends; at midpoints either neighbour is
// right.
TEST(Nonlinear4, CodeIsOfTheNearestLevel) {
    for (int step = -140 * 16; step <= 140 * 16; ++step) {
        const float value = static_cast<float>(step) / 16;
        float nearest = std::numeric_limits<float>::infinity();
        for (const int8_t level : kNonlinear4) nearest = std::min(nearest, std::abs(value - level));
        const int code = nonlinear4_code(value);
        ASSERT_GE(code, 0);
        ASSERT_LT(code, 16);
        ASSERT_EQ(std::abs(value - kNonlinear4[static_cast<size_t>(code)]), nearest) << value;
    }
}

TEST(Nonlinear4, AnyFloatHasACode) {
    EXPECT_EQ(nonlinear4_code(std::numeric_limits<float>::infinity()), 15);
    EXPECT_EQ(nonlinear4_code(-std::numeric_limits<float>::max()), 0);
    EXPECT_EQ(nonlinear4_code(std::numeric_limits<float>::quiet_NaN()), 0);
}

}  // namespace
}  // namespace atlas
