// Relative costs on a clock that other programs disturb.
#include "runtime/session/speculation/step_costs.h"

#include <gtest/gtest.h>

#include <random>

namespace atlas {
namespace {

TEST(StepCosts, AMachineThatBecomesSlowerChangesNothing) {
    StepCosts costs(2, 0);
    for (int i = 0; i < 40; ++i) {
        const double load = i < 20 ? 1 : 5;
        for (int plain = 0; plain < 3; ++plain) costs.add(0, 10 * load);
        costs.add(1, 13 * load);
    }
    EXPECT_DOUBLE_EQ(costs.cost(1), 1.3);
    EXPECT_DOUBLE_EQ(costs.pace_ms(), 50);
}

TEST(StepCosts, NothingIsPairedWithStepsFromLongAgo) {
    StepCosts costs(2, 0);
    for (int i = 0; i < 5; ++i) {
        for (int k = 0; k < 3; ++k) costs.add(0, 10);
        costs.add(1, 12);
    }
    // From here the machine is twice as slow, and there is nothing to compare with.
    for (int i = 0; i < 100; ++i) costs.add(1, 24);
    EXPECT_DOUBLE_EQ(costs.cost(1), 1.2);
    EXPECT_DOUBLE_EQ(costs.pace_ms(), 20);
    costs.add(0, 20);
    EXPECT_DOUBLE_EQ(costs.cost(1), 1.2);
}

TEST(StepCosts, AKindThatNeverRanBesideTheReferenceIsPairedThroughOthers) {
    StepCosts costs(3, 0);
    for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 3; ++k) costs.add(0, 10);
        costs.add(1, 20);
    }
    for (int i = 0; i < 3; ++i) {
        for (int k = 0; k < 3; ++k) costs.add(1, 40);  // on a machine that is twice as slow now
        costs.add(2, 120);
    }
    EXPECT_TRUE(costs.known(2));
    EXPECT_DOUBLE_EQ(costs.cost(2), 6);
}

TEST(StepCosts, SaysWhenItKnowsTooLittle) {
    StepCosts costs(2, 0);
    EXPECT_FALSE(costs.known(0));
    costs.add(1, 12);  // nothing to compare with
    EXPECT_EQ(costs.cost(1), 0);
    EXPECT_EQ(costs.pace_ms(), 0);
    costs.add(0, 10);
    EXPECT_TRUE(costs.known(0));
    EXPECT_FALSE(costs.can_pair(1)) << "one neighbour may have been delayed";
    costs.add(0, 10);
    EXPECT_TRUE(costs.can_pair(1));
    for (int pairs = 1; pairs <= 3; ++pairs) {
        costs.add(1, 12);
        EXPECT_EQ(costs.known(1), pairs == 3) << pairs;
        EXPECT_DOUBLE_EQ(costs.cost(1), 1.2);
        for (int i = 0; i < 3; ++i) costs.add(0, 10);
    }
}

TEST(StepCosts, TheFirstKindThatRunsIsTheReferenceWhereNoneIsNamed) {
    StepCosts costs(25);
    costs.add(8, 40);
    costs.add(12, 50);
    EXPECT_DOUBLE_EQ(costs.cost(8), 1);
    EXPECT_DOUBLE_EQ(costs.cost(12), 1.25);
}

// Delayed steps, changing load: the cost stays within a tenth in nearly all worlds.
TEST(StepCosts, StandsSpikesAndChangingLoad) {
    int good = 0;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        std::mt19937_64 random(seed);
        std::uniform_real_distribution<double> uniform;
        StepCosts costs(2, 0);
        double load = 1;
        for (int i = 0; i < 200; ++i) {
            if (i % 23 == 0) load = 1 + 4 * uniform(random);
            const double spike = uniform(random) < 0.1 ? 4 : 1;
            const bool block = i % 4 == 3;
            costs.add(block ? 1 : 0, (block ? 13 : 10) * load * spike * (0.95 + 0.1 * uniform(random)));
        }
        good += std::abs(costs.cost(1) - 1.3) < 0.13 ? 1 : 0;
    }
    EXPECT_GE(good, 190);
}

}  // namespace
}  // namespace atlas
