#include "runtime/planner/budget_watch.h"

#include <gtest/gtest.h>

#include "runtime/base/units.h"
#include "tests/support/watched_backend.h"

namespace atlas {
namespace {

/// A device whose budget a test sets.
class FakeBudget final : public testing::WatchedBackend {
  public:
    MemoryBudget now{24 * kGiB, 2 * kGiB, 22 * kGiB, 20 * kGiB};
    mutable int looks = 0;
    MemoryBudget budget() const override {
        ++looks;
        return now;
    }
};

class BudgetWatching : public ::testing::Test {
  protected:
    FakeBudget backend_;
    std::vector<std::string> said_;
    BudgetWatch watch_{backend_, [this](const std::string& line) { said_.push_back(line); }};
};

TEST_F(BudgetWatching, SaysNothingWhileThereIsRoom) {
    for (int i = 0; i < 1000; ++i) watch_.tick();
    backend_.now.budget_bytes = 20 * kGiB + 1;  // tight, and still enough
    watch_.look();
    EXPECT_TRUE(said_.empty());
}

TEST_F(BudgetWatching, TellsOnceWithNumbersWhenOthersTakeWhatIsInUse) {
    backend_.now.budget_bytes = 17 * kGiB;
    for (int i = 0; i < 1000; ++i) watch_.tick();
    ASSERT_EQ(said_.size(), 1u);
    for (const char* word : {"5.00 GiB", "20.0 GiB", "17.0 GiB", "3.00 GiB", "--ctx", "--kv q8_0"}) {
        EXPECT_NE(said_[0].find(word), std::string::npos) << word << " in: " << said_[0];
    }
}

TEST_F(BudgetWatching, WhatCanGoGoesFirstAndIsTold) {
    std::vector<uint64_t> asked;
    uint64_t there = 4 * kGiB;
    const auto give = [&](uint64_t bytes) {
        asked.push_back(bytes);
        const uint64_t given = std::min(bytes, there);
        there -= given;
        backend_.now.used_bytes -= given;
        return BudgetWatch::GivenBack{given, "half of it is left"};
    };
    BudgetWatch watch(
        backend_, [this](const std::string& line) { said_.push_back(line); }, give);
    watch.look();
    EXPECT_TRUE(asked.empty()) << "nothing is short";
    backend_.now.budget_bytes = 17 * kGiB;
    watch.look();
    EXPECT_EQ(asked, std::vector{3 * kGiB});
    ASSERT_EQ(said_.size(), 1u);
    for (const char* word : {"took 5.00 GiB", "returned 3.00 GiB", "half of it is left"})
        EXPECT_NE(said_[0].find(word), std::string::npos) << said_[0];
    EXPECT_EQ(said_[0].find("system memory"), std::string::npos) << "all is well again: " << said_[0];
    EXPECT_FALSE(watch.told());
    watch.look();
    EXPECT_EQ(said_.size(), 1u) << "nothing is short any more";

    backend_.now.budget_bytes = 14 * kGiB;  // 3 more, and 1 is left to give
    watch.look();
    ASSERT_EQ(said_.size(), 2u);
    for (const char* word : {"returned 1.00 GiB", "16.0 GiB are in use", "may move 2.00 GiB"})
        EXPECT_NE(said_[1].find(word), std::string::npos) << said_[1];
    EXPECT_TRUE(watch.told());
    for (int i = 0; i < 5; ++i) watch.look();
    EXPECT_EQ(said_.size(), 2u) << "reported once";
}

TEST_F(BudgetWatching, LooksOncePerSoManyTicks) {
    const int before = backend_.looks;
    for (int i = 0; i < 10 * BudgetWatch::kTicksPerLook; ++i) watch_.tick();
    EXPECT_EQ(backend_.looks - before, 10);
}

TEST_F(BudgetWatching, WhoAskedForMoreThanTheBudgetIsNotToldThatOthersDid) {
    FakeBudget full;
    full.now.used_bytes = 23 * kGiB;
    BudgetWatch watch(full, [this](const std::string& line) { said_.push_back(line); });
    watch.look();
    EXPECT_TRUE(said_.empty()) << "as it was at the start";
    full.now.budget_bytes = 0;
    watch.look();
    EXPECT_TRUE(said_.empty()) << "a driver that does not report its budget";
}

}  // namespace
}  // namespace atlas
