// Slabs on a device: budget, reuse, placement, uploads and downloads.
#include <random>

#include "runtime/base/units.h"
#include "tests/vk/test_kernel.h"

namespace atlas::vk {
namespace {

uint64_t slab_total(const Memory& memory) {
    uint64_t bytes = 0;
    for (const auto& use : memory.statistics()) bytes += use.slab_bytes;
    return bytes;
}

class MemoryTest : public DeviceTest {};

class SmallBudgetTest : public DeviceTest {
    DeviceOptions options() const override { return {.memory_limit_bytes = 16 * kMiB}; }
};

TEST_F(SmallBudgetTest, FillsTheBudgetAndNeverPassesIt) {
    Memory& memory = device_->memory();
    memory.name_use(3, "kv");
    std::vector<BufferRange> ranges;
    while (true) {
        auto range = memory.allocate(3, kMiB, "a page");
        ASSERT_LE(slab_total(memory), 16 * kMiB);
        if (!range) {
            EXPECT_EQ(range.error().code, ErrorCode::out_of_memory);
            for (const char* part : {"1.00 MiB", "kv 16.0 MiB", "a page"}) {
                EXPECT_NE(range.error().message.find(part), std::string::npos) << range.error().message;
            }
            break;
        }
        ranges.push_back(*range);
        ASSERT_LE(ranges.size(), 16u);
    }
    EXPECT_EQ(ranges.size(), 16u);
    EXPECT_EQ(memory.heap().available_bytes, 0u);
    // What is freed can be allocated again.
    memory.release(ranges[5]);
    EXPECT_TRUE(memory.allocate(3, kMiB, "again"));
    EXPECT_FALSE(memory.allocate(3, 256, "one more"));
}

TEST_F(SmallBudgetTest, AnotherUseSeesWhatIsLeft) {
    Memory& memory = device_->memory();
    ASSERT_TRUE(memory.allocate(0, 10 * kMiB, "weights"));
    const auto range = memory.allocate(1, 7 * kMiB, "kv");
    ASSERT_FALSE(range);
    EXPECT_NE(range.error().message.find("6.00 MiB available"), std::string::npos) << range.error().message;
    EXPECT_TRUE(memory.allocate(1, 6 * kMiB, "kv"));
}

TEST_F(MemoryTest, ALargerPieceThanOneAllocationIsRefusedWithTheNumber) {
    Memory& memory = device_->memory();
    const auto range = memory.allocate(0, memory.max_range_bytes() + 1, "huge");
    ASSERT_FALSE(range);
    EXPECT_EQ(range.error().code, ErrorCode::limit);
    EXPECT_NE(range.error().message.find(bytes_text(memory.max_range_bytes())), std::string::npos)
        << range.error().message;
}

TEST_F(MemoryTest, EmptySlabsGoBackAndHolesAreUsedAgain) {
    Memory& memory = device_->memory();
    std::vector<BufferRange> ranges;
    for (int i = 0; i < 8; ++i) ranges.push_back(*memory.allocate(2, 1000, "small"));
    for (const auto& range : ranges) {
        EXPECT_EQ(range.buffer, ranges[0].buffer);  // one slab
        EXPECT_EQ(range.offset_bytes % Memory::kAlignment, 0u);
        EXPECT_EQ(range.bytes, 1000u);
    }
    memory.release(ranges[3]);
    const BufferRange again = *memory.allocate(2, 900, "small");
    EXPECT_EQ(again.offset_bytes, ranges[3].offset_bytes);
    ranges[3] = again;
    EXPECT_EQ(memory.statistics()[0].asked_bytes, 7 * 1000u + 900u);
    for (const auto& range : ranges) memory.release(range);
    EXPECT_EQ(slab_total(memory), 0u);
    EXPECT_EQ(memory.statistics()[0].asked_bytes, 0u);
    EXPECT_EQ(memory.statistics()[0].slabs, 0u);
    EXPECT_GE(memory.statistics()[0].peak_slab_bytes, 8000u);
}

TEST_F(MemoryTest, ExpectedBytesShareOneSlabOfThatSize) {
    Memory& memory = device_->memory();
    const std::vector<uint64_t> tensors(40, kMiB);
    memory.expect(0, tensors);
    std::vector<BufferRange> ranges;
    for (int i = 0; i < 40; ++i) ranges.push_back(*memory.allocate(0, kMiB, "tensor", {.zero = false}));
    EXPECT_EQ(memory.statistics()[0].slabs, 1u);
    EXPECT_EQ(memory.statistics()[0].slab_bytes, 40 * kMiB);
}

TEST_F(MemoryTest, ARangeThatWasNotExpectedEndsTheExpectation) {
    Memory& memory = device_->memory();
    const std::vector<uint64_t> sizes{1000, 2000, 3000};
    memory.expect(0, sizes);
    ASSERT_TRUE(memory.allocate(0, 1000, "first"));
    EXPECT_EQ(memory.statistics()[0].slab_bytes, 1024u + 2048 + 3072);
    ASSERT_TRUE(memory.allocate(0, 5000, "another"));
    ASSERT_TRUE(memory.allocate(0, 2000, "second"));
    EXPECT_EQ(memory.statistics()[0].slabs, 2u) << "what was taken for it is still used";
}

TEST_F(MemoryTest, ShrinkingGivesWholePiecesBackOneAfterTheOther) {
    Memory& memory = device_->memory();
    memory.share_at_most(0, 4 * kMiB);
    std::vector<BufferRange> ranges;
    memory.expect(0, std::vector<uint64_t>(8, 2 * kMiB));
    for (int i = 0; i < 8; ++i) ranges.push_back(floats(*device_, 2 * kMiB / 4, float(i + 1), "layer"));
    ASSERT_EQ(memory.statistics()[0].slabs, 4u);
    memory.expect(0, std::vector<uint64_t>(8, kMiB));
    uint64_t before = slab_total(memory);
    ASSERT_EQ(before, 16 * kMiB);
    for (int i = 0; i < 8; ++i) {
        auto smaller = memory.shrink(ranges[size_t(i)], kMiB, "layer");
        ASSERT_TRUE(smaller) << smaller.error().message;
        ranges[size_t(i)] = *smaller;
    }
    EXPECT_EQ(slab_total(memory), 8 * kMiB) << "the rest is the driver's again";
    EXPECT_LE(memory.statistics()[0].peak_slab_bytes, before + 4 * kMiB) << "no more than one piece twice";
    for (int i = 0; i < 8; ++i) {
        std::vector<float> got(kMiB / 4);
        ASSERT_TRUE(device_->uploader().download(ranges[size_t(i)], 0, std::as_writable_bytes(std::span(got))));
        EXPECT_TRUE(std::all_of(got.begin(), got.end(), [i](float x) { return x == float(i + 1); })) << i;
        memory.release(ranges[size_t(i)]);
    }
}

// Another program has taken the memory: a shrink is still possible.
TEST_F(SmallBudgetTest, ShrinkingNeedsNoBudget) {
    Memory& memory = device_->memory();
    const BufferRange all = *memory.allocate(0, 16 * kMiB, "all");
    EXPECT_FALSE(memory.allocate(0, kMiB, "more"));
    const auto smaller = memory.shrink(all, 4 * kMiB, "all");
    ASSERT_TRUE(smaller) << smaller.error().message;
    EXPECT_EQ(slab_total(memory), 4 * kMiB);
    memory.release(*smaller);
}

TEST_F(MemoryTest, IsZeroEvenWhereItWasUsedBefore) {
    Memory& memory = device_->memory();
    const BufferRange keep = *memory.allocate(0, 256, "keeps the slab");
    const BufferRange dirty = floats(*device_, 5000, 42, "dirty");
    memory.release(dirty);
    const BufferRange clean = *memory.allocate(0, 20000, "clean");
    EXPECT_EQ(clean.offset_bytes, dirty.offset_bytes);
    EXPECT_EQ(read_floats(*device_, clean), std::vector<float>(5000, 0));
    memory.release(keep);
}

TEST_F(MemoryTest, HostPlacementsAreMapped) {
    for (const Placement placement : {Placement::host_write, Placement::host_read, Placement::staging}) {
        const auto range = device_->memory().allocate(4, 100, "host", {.placement = placement});
        ASSERT_TRUE(range);
        EXPECT_NE(range->mapped, nullptr);
    }
}

using MemoryDeathTest = MemoryTest;
TEST_F(MemoryDeathTest, GivingBackAPartIsOurBug) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const BufferRange range = *device_->memory().allocate(0, 1000, "x");
    EXPECT_DEATH(device_->memory().release(range.sub(256, 500)), "not an allocation");
}

std::vector<std::byte> random_bytes(size_t count, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<std::byte> bytes(count);
    for (size_t i = 0; i < count; i += 4) {
        const uint32_t word = uint32_t(random());
        std::memcpy(bytes.data() + i, &word, std::min<size_t>(4, count - i));
    }
    return bytes;
}

class UploadTest : public DeviceTest, public testing::WithParamInterface<bool> {
    void SetUp() override {
        DeviceTest::SetUp();
        if (device_) device_->uploader().stage_always(GetParam());
    }
};

TEST_P(UploadTest, AnySizeAtAnyOffsetAndNoByteBeside) {
    for (const size_t count : {size_t{1}, size_t{2}, size_t{3}, size_t{255}, size_t{4097}, size_t{1} << 20,
                               (size_t{8} << 20) + 1, size_t{40} << 20}) {
        for (const size_t offset : {size_t{0}, size_t{1}, size_t{7}, size_t{4099}}) {
            const size_t total = offset + count + 13;
            auto range = device_->memory().allocate(0, total, "target");
            ASSERT_TRUE(range) << range.error().message;
            const auto sent = random_bytes(count, uint32_t(count + offset));
            ASSERT_TRUE(device_->uploader().upload(*range, offset, sent));
            ASSERT_TRUE(device_->uploader().finish());
            std::vector<std::byte> expected(total), got(total);
            std::copy(sent.begin(), sent.end(), expected.begin() + long(offset));
            ASSERT_TRUE(device_->uploader().download(*range, 0, got));
            ASSERT_TRUE(got == expected) << count << " bytes at " << offset;
            std::vector<std::byte> part(count);
            ASSERT_TRUE(device_->uploader().download(*range, offset, part));
            ASSERT_TRUE(part == sent) << count << " bytes read at " << offset;
            device_->memory().release(*range);
        }
    }
}

TEST_P(UploadTest, ManySmallPiecesInOrder) {
    auto range = device_->memory().allocate(0, 30000, "target");
    ASSERT_TRUE(range);
    const auto sent = random_bytes(30000, 5);
    for (size_t at = 0; at < sent.size(); at += 100) {
        ASSERT_TRUE(device_->uploader().upload(*range, at, std::span(sent).subspan(at, 100)));
    }
    // The later of two pieces for the same bytes wins.
    const std::vector<std::byte> last(50, std::byte{7});
    ASSERT_TRUE(device_->uploader().upload(*range, 120, last));
    std::vector<std::byte> expected = sent, got(30000);
    std::copy(last.begin(), last.end(), expected.begin() + 120);
    ASSERT_TRUE(device_->uploader().download(*range, 0, got));
    EXPECT_TRUE(got == expected);
}

INSTANTIATE_TEST_SUITE_P(Ways, UploadTest, testing::Bool(),
                         [](const auto& way) { return way.param ? "staged" : "direct"; });

}  // namespace
}  // namespace atlas::vk
