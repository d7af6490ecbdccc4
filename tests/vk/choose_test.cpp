// Which device is used, and why others are not: on made-up devices.
#include <gtest/gtest.h>

#include "runtime/vk/instance.h"
#include "runtime/vk/kernel.h"
#include "tests/vk/made_up_devices.h"

namespace atlas::vk {
namespace {

const DeviceCaps kCard = made_up_device("Big Card 7900", DeviceType::discrete, 16 * kGiB);
const DeviceCaps kSmallCard = made_up_device("Small Card", DeviceType::discrete, 4 * kGiB);
const DeviceCaps kIntegrated = made_up_device("Integrated", DeviceType::integrated, 32 * kGiB);
const DeviceCaps kSoftware = made_up_device("Software", DeviceType::software, 64 * kGiB);

size_t chosen(const std::vector<DeviceCaps>& devices, std::string_view wish = "") {
    const auto choice = choose_device(devices, wish);
    EXPECT_TRUE(choice) << choice.error().message;
    return choice ? choice->index : 999;
}

TEST(Choose, PrefersDiscreteThenIntegratedThenSoftware) {
    EXPECT_EQ(chosen({kSoftware, kIntegrated, kCard}), 2u);
    EXPECT_EQ(chosen({kSoftware, kIntegrated}), 1u);
    EXPECT_EQ(chosen({kSoftware}), 0u);
}

TEST(Choose, PrefersMoreMemoryWithinAType) {
    EXPECT_EQ(chosen({kSmallCard, kCard}), 1u);
    EXPECT_EQ(chosen({kCard, kSmallCard}), 0u);
}

TEST(Choose, SaysWhy) {
    EXPECT_EQ(choose_device(std::vector{kSoftware}, "")->reason, "the only device");
    EXPECT_EQ(choose_device(std::vector{kSoftware, kCard}, "")->reason, "the only discrete device");
    EXPECT_EQ(choose_device(std::vector{kSmallCard, kCard}, "")->reason, "the discrete device with the most memory");
}

TEST(Choose, WishIsAnIndexAUuidOrAPartOfTheName) {
    DeviceCaps marked = kSmallCard;
    marked.device_uuid = {0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff};
    const std::vector<DeviceCaps> devices = {kCard, marked, kSoftware};
    EXPECT_EQ(chosen(devices, "2"), 2u);
    EXPECT_EQ(chosen(devices, "softw"), 2u);
    EXPECT_EQ(chosen(devices, "SMALL"), 1u);
    EXPECT_EQ(chosen(devices, "ab010203-0405-0607-0809-0a0b0c0d0eff"), 1u);
    EXPECT_EQ(chosen(devices, "card 7900"), 0u);
}

TEST(Choose, ANumberIsAnIndexAndNeverAPartOfAName) {
    for (const std::string_view wish : {"5", "7900", "18446744073709551616"}) {
        const auto choice = choose_device(std::vector{kCard}, wish);
        ASSERT_FALSE(choice) << wish;
        EXPECT_EQ(choice.error().code, ErrorCode::invalid_argument);
        EXPECT_NE(choice.error().message.find("the only index is 0"), std::string::npos) << choice.error().message;
    }
}

TEST(Choose, AWishThatFitsSeveralDevicesAsks) {
    const auto choice = choose_device(std::vector{kCard, kSmallCard, kSoftware}, "card");
    ASSERT_FALSE(choice);
    EXPECT_EQ(choice.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(choice.error().message.find("'card' fits 2 devices"), std::string::npos) << choice.error().message;
    // One of them is unusable, so the other is chosen. A whole name is preferred to a part of a longer one. Two cards
    // of one name are told apart by an index.
    DeviceCaps old = kSmallCard;
    old.storage_8bit = false;
    EXPECT_EQ(chosen({old, kCard}, "card"), 1u);
    const DeviceCaps longer = made_up_device("Small Card Ti", DeviceType::discrete);
    EXPECT_EQ(chosen({longer, kSmallCard}, "small card"), 1u);
    EXPECT_FALSE(choose_device(std::vector{kCard, kCard}, "big"));
    EXPECT_EQ(chosen({kCard, kCard}, "1"), 1u);
}

TEST(Choose, AWishThatFitsNothingNamesWhatThereIs) {
    const auto choice = choose_device(std::vector{kCard, kSoftware}, "voodoo");
    ASSERT_FALSE(choice);
    EXPECT_EQ(choice.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(choice.error().message.find("Big Card 7900"), std::string::npos);
    EXPECT_NE(choice.error().message.find("Software"), std::string::npos);
}

TEST(Choose, AWishForADeviceThatCannotRunUsSaysWhy) {
    DeviceCaps old = kCard;
    old.storage_8bit = false;
    const auto choice = choose_device(std::vector{kSoftware, old}, "1");
    ASSERT_FALSE(choice);
    EXPECT_EQ(choice.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(choice.error().message.find("8-bit storage"), std::string::npos);
}

TEST(Choose, SkipsRejectedDevices) {
    DeviceCaps old = kCard;
    old.api_version = (1u << 22) | (1u << 12) | 100;
    EXPECT_EQ(chosen({old, kSoftware}), 1u);
}

TEST(Choose, NoUsableDeviceSaysWhatToInstall) {
    DeviceCaps old = kCard;
    old.timeline_semaphore = false;
    for (const auto& devices : {std::vector<DeviceCaps>{}, std::vector{old}}) {
        const auto choice = choose_device(devices, "");
        ASSERT_FALSE(choice);
        EXPECT_EQ(choice.error().code, ErrorCode::no_device);
        EXPECT_NE(choice.error().message.find("apt install mesa-vulkan-drivers"), std::string::npos);
    }
    EXPECT_NE(choose_device(std::vector{old}, "").error().message.find("timelineSemaphore"), std::string::npos);
}

TEST(Choose, EachMissingFeatureIsNamed) {
    EXPECT_EQ(rejection_of(kCard), "");
    const auto without = [](auto remove) {
        DeviceCaps caps = kCard;
        remove(caps);
        return rejection_of(caps);
    };
    const auto expect = [](const std::string& reason, std::string_view part) {
        EXPECT_NE(reason.find(part), std::string::npos) << "\"" << reason << "\" lacks \"" << part << "\"";
    };
    expect(without([](auto& c) { c.api_version = (1u << 22) | (1u << 12); }), "Vulkan 1.1.0");
    expect(without([](auto& c) { c.has_compute_queue = false; }), "compute queue");
    expect(without([](auto& c) { c.storage_16bit = false; }), "storageBuffer16BitAccess");
    expect(without([](auto& c) { c.storage_8bit = false; }), "storageBuffer8BitAccess");
    expect(without([](auto& c) { c.scalar_block_layout = false; }), "scalarBlockLayout");
    expect(without([](auto& c) { c.timeline_semaphore = false; }), "timelineSemaphore");
    expect(without([](auto& c) { c.subgroup_arithmetic = false; }), "subgroup arithmetic");
    expect(without([](auto& c) { c.max_shared_bytes = 16384; }), "16384");
    expect(without([](auto& c) { c.max_workgroup_invocations = 128; }), "128");
    // A kernel may bind as many as kernel.h allows: one less is not enough.
    expect(without([](auto& c) { c.max_storage_bindings = kMaxBindings - 1; }),
           fmt::format("{} storage buffers", kMaxBindings));
    EXPECT_EQ(without([](auto& c) { c.max_storage_bindings = kMaxBindings; }), "");
    expect(without([](auto& c) { c.heaps.clear(); }), "no memory");
    // All of them at once, not only the first.
    const std::string both = without([](auto& c) { c.storage_8bit = c.timeline_semaphore = false; });
    expect(both, "storageBuffer8BitAccess");
    expect(both, "timelineSemaphore");
}

TEST(Choose, ATranslatedDriverGoesLastButOne) {
    DeviceCaps translated = made_up_device("Translated", DeviceType::discrete, 24 * kGiB);
    translated.driver_id = 23;  // VK_DRIVER_ID_MESA_DOZEN
    EXPECT_EQ(chosen({translated, kIntegrated}), 1u);
    EXPECT_EQ(chosen({translated, kSoftware}), 0u);
}

}  // namespace
}  // namespace atlas::vk
