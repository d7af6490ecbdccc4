// Where barriers are derived, and where not.
#include "runtime/vk/hazard.h"

#include <gtest/gtest.h>

#include <random>

namespace atlas::vk {
namespace {

VkBuffer buffer(uintptr_t number) { return reinterpret_cast<VkBuffer>(number * 64); }

Binding touch(Access access, uint64_t first, uint64_t bytes, uintptr_t number = 1) {
    return {.range = {.buffer = buffer(number), .offset_bytes = first, .bytes = bytes}, .access = access};
}

bool after(const std::vector<Binding>& before, const std::vector<Binding>& now) {
    HazardTracker tracker;
    EXPECT_FALSE(tracker.needs_barrier(before));
    return tracker.needs_barrier(now);
}

TEST(Hazard, EachPairOfAccesses) {
    const auto pair = [](Access first, Access second) {
        return after({touch(first, 0, 100)}, {touch(second, 0, 100)});
    };
    EXPECT_FALSE(pair(Access::read, Access::read));
    EXPECT_TRUE(pair(Access::write, Access::read));
    EXPECT_TRUE(pair(Access::read, Access::write));
    EXPECT_TRUE(pair(Access::write, Access::write));
    EXPECT_TRUE(pair(Access::read_write, Access::read));
    EXPECT_TRUE(pair(Access::read, Access::read_write));
    EXPECT_TRUE(pair(Access::read_write, Access::read_write));
}

TEST(Hazard, OnlyWhereBytesOverlap) {
    const auto written = [](uint64_t first, uint64_t bytes) {
        return after({touch(Access::write, 100, 50)}, {touch(Access::read, first, bytes)});
    };
    EXPECT_FALSE(written(0, 100));
    EXPECT_TRUE(written(0, 101));
    EXPECT_TRUE(written(149, 1));
    EXPECT_FALSE(written(150, 10));
    EXPECT_TRUE(written(120, 5));
    EXPECT_TRUE(written(0, 1000));
    EXPECT_FALSE(after({touch(Access::write, 0, 100, 1)}, {touch(Access::read, 0, 100, 2)}));
}

TEST(Hazard, BindingsOfOneDispatchDoNotConflict) {
    HazardTracker tracker;
    EXPECT_FALSE(tracker.needs_barrier(std::vector{touch(Access::read, 0, 100), touch(Access::write, 0, 100)}));
    EXPECT_TRUE(tracker.needs_barrier(std::vector{touch(Access::read, 0, 100), touch(Access::write, 0, 100)}));
}

TEST(Hazard, ABarrierForgetsEverythingBefore) {
    HazardTracker tracker;
    EXPECT_FALSE(tracker.needs_barrier(std::vector{touch(Access::write, 0, 100), touch(Access::write, 200, 100)}));
    EXPECT_TRUE(tracker.needs_barrier(std::vector{touch(Access::read, 0, 100)}));
    // The barrier above was for all of it.
    EXPECT_FALSE(tracker.needs_barrier(std::vector{touch(Access::read, 200, 100)}));
    // But what came after it counts.
    EXPECT_TRUE(tracker.needs_barrier(std::vector{touch(Access::write, 50, 10)}));
}

TEST(Hazard, EqualToAByteByByteRecord) {
    std::mt19937 random(3);
    for (int round = 0; round < 200; ++round) {
        HazardTracker tracker;
        std::vector<bool> read(256), written(256);
        for (int i = 0; i < 60; ++i) {
            const uint64_t first = random() % 200, bytes = 1 + random() % 12;
            const Access access = std::array{Access::read, Access::write, Access::read_write}[random() % 3];
            bool expected = false;
            for (uint64_t b = first; b < first + bytes; ++b)
                expected |= written[b] || (access != Access::read && read[b]);
            if (expected) {
                read.assign(256, false);
                written.assign(256, false);
            }
            for (uint64_t b = first; b < first + bytes; ++b) {
                if (access != Access::write) read[b] = true;
                if (access != Access::read) written[b] = true;
            }
            const Binding binding = touch(access, first, bytes);
            ASSERT_EQ(tracker.needs_barrier({&binding, 1}), expected) << "round " << round << ", step " << i;
        }
    }
}

}  // namespace
}  // namespace atlas::vk
