// The pure parts of memory and cutting: quirks, budgets, slab sizes, memory types, holes, costs.
#include <gtest/gtest.h>

#include <random>

#include "runtime/vk/cost.h"
#include "runtime/vk/holes.h"
#include "runtime/vk/memory_type.h"
#include "runtime/vk/quirks.h"
#include "runtime/vk/slab_size.h"
#include "tests/vk/made_up_devices.h"

namespace atlas::vk {
namespace {

const DeviceCaps kCard = made_up_device("Card", DeviceType::discrete, 8 * kGiB);
const DeviceCaps kSoftware = made_up_device("Software", DeviceType::software, 8 * kGiB);

TEST(Quirks, SoftwareIsSlowAndACardIsNot) {
    EXPECT_TRUE(quirks_for(kSoftware).slow);
    EXPECT_FALSE(quirks_for(kCard).slow);
    EXPECT_LT(quirks_for(kSoftware).gflops, quirks_for(kCard).gflops);
}

TEST(Quirks, SlabsStayWithinBothLimits) {
    DeviceCaps caps = kCard;
    caps.max_allocation_bytes = 3 * kGiB;
    EXPECT_EQ(quirks_for(caps).max_slab_bytes, 3 * kGiB);
    caps.max_buffer_bytes = 1 * kGiB;
    EXPECT_EQ(quirks_for(caps).max_slab_bytes, 1 * kGiB);
    caps = kCard;
    caps.driver_id = 1;  // VK_DRIVER_ID_AMD_PROPRIETARY
    EXPECT_EQ(quirks_for(caps).max_slab_bytes, 2 * kGiB);
}

// A GTX 1050 has 5, an RTX 3090 82: nothing but the number tells them apart.
TEST(Quirks, ACardThatSaysHowLargeItIsIsCutByItsSize) {
    DeviceCaps small = kCard, large = kCard;
    small.compute_units = 5;
    large.compute_units = 82;
    EXPECT_EQ(quirks_for(small).gflops, quirks_for(kCard).gflops);
    EXPECT_EQ(quirks_for(small).gbps, quirks_for(kCard).gbps);
    EXPECT_GE(quirks_for(large).gflops, 5 * quirks_for(kCard).gflops);
    EXPECT_LE(quirks_for(large).gflops, 35580 / 10);  // a tenth of the data sheet's figure
    EXPECT_LE(quirks_for(large).gbps, 936 / 4);
    EXPECT_EQ(quirks_for(large).submission_limit_ms, quirks_for(kCard).submission_limit_ms);
    for (const DeviceType type : {DeviceType::virtual_gpu, DeviceType::software, DeviceType::other}) {
        DeviceCaps shared = made_up_device("x", type);
        const double gflops = quirks_for(shared).gflops;
        shared.compute_units = 82;
        EXPECT_EQ(quirks_for(shared).gflops, gflops) << name_of(type);
    }
}

TEST(Quirks, EveryClassLeavesTheWatchdogAlone) {
    for (const DeviceType type : {DeviceType::discrete, DeviceType::integrated, DeviceType::virtual_gpu,
                                  DeviceType::software, DeviceType::other}) {
        const Quirks quirks = quirks_for(made_up_device("x", type));
        EXPECT_GT(quirks.gflops, 0);
        EXPECT_GT(quirks.gbps, 0);
        EXPECT_LE(quirks.submission_limit_ms, 250);
        EXPECT_EQ(quirks.rejected, "");
    }
}

TEST(HeapState, BudgetIsClampedToTheHeapMinusTheMargin) {
    Quirks quirks;
    quirks.budget_margin_bytes = 100;
    // Some drivers report more than there is.
    const HeapState state =
        heap_state({.bytes = 1000, .budget_bytes = 5000, .used_bytes = 0, .device_local = true}, 0, quirks, {}, true);
    EXPECT_EQ(state.budget_bytes, 900u);
    EXPECT_EQ(state.available_bytes, 900u);
}

TEST(HeapState, CountsTheLargerOfTheDriversFigureAndOurs) {
    const MemoryHeap heap{.bytes = 1000, .budget_bytes = 800, .used_bytes = 300, .device_local = true};
    EXPECT_EQ(heap_state(heap, 200, {}, {}, true).available_bytes, 500u);
    EXPECT_EQ(heap_state(heap, 400, {}, {}, true).available_bytes, 400u);
    EXPECT_EQ(heap_state(heap, 900, {}, {}, true).available_bytes, 0u);
}

TEST(HeapState, ALimitBoundsOurOwnUse) {
    const MemoryHeap heap{.bytes = 1000, .budget_bytes = 1000, .used_bytes = 300, .device_local = true};
    EXPECT_EQ(heap_state(heap, 100, {}, 250, true).available_bytes, 150u);
    EXPECT_EQ(heap_state(heap, 100, {}, 250, true).budget_bytes, 250u);
    EXPECT_EQ(heap_state(heap, 300, {}, 250, true).available_bytes, 0u);
    // A limit above the budget changes nothing.
    EXPECT_EQ(heap_state(heap, 100, {}, 5000, true).available_bytes, 700u);
}

TEST(HeapState, QuirksTouchTheMainHeapOnly) {
    Quirks quirks;
    quirks.budget_fraction = 0.5;
    const MemoryHeap heap{.bytes = 1000, .budget_bytes = 1000, .used_bytes = 0, .device_local = false};
    EXPECT_EQ(heap_state(heap, 0, quirks, {}, true).available_bytes, 500u);
    EXPECT_EQ(heap_state(heap, 0, quirks, {}, false).available_bytes, 1000u);
}

SlabRequest request(uint64_t needed_bytes) {
    return {.needed_bytes = needed_bytes,
            .held_bytes = 0,
            .expected = {},
            .available_bytes = 8 * kGiB,
            .max_bytes = 4 * kGiB};
}

TEST(SlabSize, LargePiecesGetTheirExactSize) { EXPECT_EQ(slab_bytes(request(100 * kMiB)), 100 * kMiB); }

TEST(SlabSize, SmallPiecesShareAndSlabsGrow) {
    SlabRequest small = request(1 * kMiB);
    EXPECT_EQ(slab_bytes(small), 4 * kMiB);
    small.held_bytes = 12 * kMiB;
    EXPECT_EQ(slab_bytes(small), 16 * kMiB);
    small.held_bytes = 900 * kMiB;
    EXPECT_EQ(slab_bytes(small), 64 * kMiB);
}

TEST(SlabSize, AnExpectationMakesFewSlabsOfJustThatSize) {
    SlabRequest weights = request(1 * kMiB);
    weights.expected = {1 * kMiB, 200 * kMiB, 99 * kMiB};
    EXPECT_EQ(slab_bytes(weights), 300 * kMiB);
    weights.expected = {1 * kMiB, 600 * kMiB, 400 * kMiB, 300 * kMiB};
    EXPECT_EQ(slab_bytes(weights), 1001 * kMiB) << "whole ranges of at most a GiB";
    weights.needed_bytes = 1500 * kMiB;
    weights.expected = {1500 * kMiB, 1 * kMiB};
    EXPECT_EQ(slab_bytes(weights), 1500 * kMiB) << "what is larger gets its own";
}

TEST(SlabSize, NeverMoreThanThereIsNorThanOneAllocation) {
    SlabRequest tight = request(1 * kMiB);
    tight.available_bytes = 2 * kMiB;
    EXPECT_EQ(slab_bytes(tight), 2 * kMiB);
    tight.max_bytes = 1536 * kKiB;
    EXPECT_EQ(slab_bytes(tight), 1536 * kKiB);
    tight.expected = {1 * kMiB, 300 * kMiB};
    EXPECT_EQ(slab_bytes(tight), 1 * kMiB);
}

TEST(MemoryType, OnACardWeightsAndSmallWindowsStayApart) {
    EXPECT_EQ(memory_type_for(kCard, ~0u, Placement::device), 0u);
    EXPECT_EQ(memory_type_for(kCard, ~0u, Placement::host_write), 3u);  // through the window
    EXPECT_EQ(memory_type_for(kCard, ~0u, Placement::host_read), 2u);   // cached
    EXPECT_EQ(memory_type_for(kCard, ~0u, Placement::staging), 1u);
}

TEST(MemoryType, WithResizableBarTheWholeCardIsMapped) {
    DeviceCaps caps = kCard;
    caps.memory_types[3].heap = 0;
    EXPECT_TRUE(main_heap(caps).host_visible);
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::device), 3u);
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::staging), 1u);
}

TEST(MemoryType, SharedMemoryIsMappedAndCachedForReading) {
    EXPECT_EQ(memory_type_for(kSoftware, ~0u, Placement::device), 2u);
    EXPECT_EQ(memory_type_for(kSoftware, ~0u, Placement::host_read), 2u);
}

TEST(MemoryType, AnIntegratedDeviceUsesTheLargestHeapWhateverItIsCalled) {
    DeviceCaps caps = made_up_device("APU", DeviceType::integrated);
    caps.heaps = {{512 * kMiB, 400 * kMiB, 0, true}, {15 * kGiB, 15 * kGiB, 0, false}};
    caps.memory_types = {{.heap = 0, .device_local = true},
                         {.heap = 1, .host_visible = true, .host_coherent = true},
                         {.heap = 1, .host_visible = true, .host_coherent = true, .host_cached = true},
                         {.heap = 0, .device_local = true, .host_visible = true, .host_coherent = true}};
    EXPECT_EQ(main_heap(caps).index, 1u);
    EXPECT_TRUE(main_heap(caps).host_visible);
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::device), 2u);
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::host_read), 2u);
    caps.type = DeviceType::discrete;  // a card's window into the system's memory is not its own memory
    EXPECT_EQ(main_heap(caps).index, 0u);
}

TEST(Budget, ZeroMeansThatTheDriverDoesNotKnow) {
    EXPECT_EQ(budget_of(10 * kGiB, 7 * kGiB), 7 * kGiB);
    EXPECT_EQ(budget_of(10 * kGiB, 0), 8 * kGiB);
    EXPECT_EQ(budget_of(10 * kGiB, std::nullopt), 8 * kGiB);
}

TEST(MemoryType, RespectsWhatTheBufferAllowsAndSkipsSpecialTypes) {
    EXPECT_EQ(memory_type_for(kCard, 0b0010, Placement::host_read), 1u);
    EXPECT_EQ(memory_type_for(kCard, 0b0001, Placement::host_read), std::nullopt);
    DeviceCaps caps = kCard;
    caps.memory_types[0].special = true;
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::device), std::nullopt);
    caps.heaps.clear();
    caps.memory_types.clear();
    EXPECT_EQ(memory_type_for(caps, ~0u, Placement::device), std::nullopt);
}

TEST(Holes, TakesTheSmallestThatFitsAndJoinsNeighbours) {
    Holes holes(1000);
    EXPECT_EQ(holes.take(100), 0u);
    EXPECT_EQ(holes.take(200), 100u);
    EXPECT_EQ(holes.take(300), 300u);
    holes.give(0, 100);
    EXPECT_EQ(holes.largest_bytes(), 400u);
    EXPECT_EQ(holes.take(50), 0u);  // of the hole of 100, not of the one of 400
    holes.give(0, 50);
    holes.give(300, 300);
    EXPECT_EQ(holes.largest_bytes(), 700u);
    EXPECT_EQ(holes.take(800), std::nullopt);
    holes.give(100, 200);
    EXPECT_TRUE(holes.empty());
    EXPECT_EQ(holes.take(1000), 0u);
}

TEST(Holes, RandomTakesNeverOverlap) {
    std::mt19937 random(1);
    Holes holes(1 << 16);
    std::vector<std::pair<uint64_t, uint64_t>> live;
    uint64_t live_bytes = 0;
    for (int i = 0; i < 5000; ++i) {
        if (live.empty() || random() % 3) {
            const uint64_t bytes = 256 * (1 + random() % 16);
            const auto offset = holes.take(bytes);
            if (!offset) continue;
            ASSERT_LE(*offset + bytes, uint64_t{1} << 16);
            for (const auto& [other, other_bytes] : live)
                ASSERT_TRUE(*offset + bytes <= other || other + other_bytes <= *offset);
            live.emplace_back(*offset, bytes);
            live_bytes += bytes;
        } else {
            const size_t which = random() % live.size();
            holes.give(live[which].first, live[which].second);
            live_bytes -= live[which].second;
            live.erase(live.begin() + long(which));
        }
        ASSERT_EQ(holes.free_bytes(), (1 << 16) - live_bytes);
    }
}

TEST(HolesDeathTest, GivingTwiceIsOurBug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    Holes holes(1000);
    ASSERT_TRUE(holes.take(100));
    holes.give(0, 100);
    EXPECT_DEATH(holes.give(0, 100), "free already");
}

Quirks rates() {
    Quirks quirks;
    quirks.gflops = 100;  // 1e8 a millisecond
    quirks.gbps = 10;     // 1e7 a millisecond
    quirks.submission_limit_ms = 100;
    quirks.max_dispatches = 1000;
    return quirks;
}

TEST(Cost, IsTheSlowerOfArithmeticAndMemory) {
    EXPECT_NEAR(estimate_ms({.flops = 5e8, .bytes = 1e7}, rates()), 5.01, 1e-9);
    EXPECT_NEAR(estimate_ms({.flops = 1e8, .bytes = 7e7}, rates()), 7.01, 1e-9);
    EXPECT_NEAR(estimate_ms({}, rates()), 0.01, 1e-9);
}

TEST(Cost, CutsBeforeTheSumPassesTheLimit) {
    SubmissionCutter cutter(rates());
    const Cost thirty{.flops = 30e8};
    std::vector<bool> cuts;
    for (int i = 0; i < 7; ++i) cuts.push_back(cutter.next(thirty));
    EXPECT_EQ(cuts, (std::vector<bool>{false, false, false, true, false, false, true}));
}

TEST(Cost, AnOversizedDispatchStandsAlone) {
    SubmissionCutter cutter(rates());
    EXPECT_FALSE(cutter.next({.flops = 500e8}));  // the first never cuts
    EXPECT_TRUE(cutter.next({.flops = 1}));
    EXPECT_TRUE(cutter.next({.flops = 500e8}));
    EXPECT_TRUE(cutter.next({.flops = 1}));
}

TEST(Cost, CutsByCountToo) {
    Quirks quirks = rates();
    quirks.max_dispatches = 3;
    SubmissionCutter cutter(quirks);
    std::vector<bool> cuts;
    for (int i = 0; i < 7; ++i) cuts.push_back(cutter.next({}));
    EXPECT_EQ(cuts, (std::vector<bool>{false, false, false, true, false, false, true}));
}

TEST(Cost, NoSubmissionPassesTheLimitUnlessItIsOneDispatch) {
    std::mt19937 random(2);
    SubmissionCutter cutter(rates());
    int in_part = 0;
    for (int i = 0; i < 10000; ++i) {
        in_part = cutter.next({.flops = double(random() % 1000) * 1e7}) ? 1 : in_part + 1;
        if (in_part > 1) {
            ASSERT_LE(cutter.open_ms(), 100);
        }
    }
}

}  // namespace
}  // namespace atlas::vk
