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
    EXPECT_TRUE(said_.empty()) << "a driver that does not tell";
}

}  // namespace
}  // namespace atlas
