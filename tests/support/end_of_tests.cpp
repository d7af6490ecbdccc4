#include "tests/support/end_of_tests.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace atlas::test {
namespace {

class End : public ::testing::Environment {
  public:
    static End& the_one() {
        static End* const end = new End;  // owned by GoogleTest
        return *end;
    }
    void TearDown() override {
        while (!ends_.empty()) {
            const auto end = std::move(ends_.back());
            ends_.pop_back();
            end();
        }
    }
    std::vector<std::function<void()>> ends_;
};

[[maybe_unused]] const ::testing::Environment* const registered = ::testing::AddGlobalTestEnvironment(&End::the_one());

}  // namespace

void at_end_of_tests(std::function<void()> end) { End::the_one().ends_.push_back(std::move(end)); }

}  // namespace atlas::test
