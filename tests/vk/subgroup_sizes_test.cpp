// Sizes of subgroups, for made-up drivers.
#include "runtime/vk/subgroup_sizes.h"

#include <gtest/gtest.h>

#include "tests/vk/made_up_devices.h"

namespace atlas::vk {
namespace {

// As `vulkaninfo` shows them: NVK and RADV of Mesa 26.2, ANV for a B580.
constexpr SubgroupSizes kNvk{
    .size_control = true, .full_subgroups = true, .compute_may_ask = false, .usual = 32, .min = 32, .max = 32};
constexpr SubgroupSizes kRadv{
    .size_control = true, .full_subgroups = true, .compute_may_ask = true, .usual = 64, .min = 32, .max = 64};
constexpr SubgroupSizes kAnv{
    .size_control = true, .full_subgroups = true, .compute_may_ask = true, .usual = 32, .min = 16, .max = 32};

DeviceCaps card(const SubgroupSizes& sizes) {
    DeviceCaps caps = made_up_device("a card", DeviceType::discrete);
    caps.subgroup_size = sizes.usual;
    caps.min_subgroup_size = sizes.min;
    caps.max_subgroup_size = sizes.max;
    caps.subgroup_size_control = has_full_subgroups(sizes);
    return caps;
}

TEST(SubgroupSizes, ADeviceWithOneSizeNeedsNoStageThatMayAsk) {
    EXPECT_TRUE(has_full_subgroups(kNvk));
    EXPECT_TRUE(has_full_subgroups(kRadv));
    EXPECT_TRUE(has_full_subgroups(kAnv));
    SubgroupSizes some = kNvk;
    some.size_control = false;
    EXPECT_TRUE(has_full_subgroups(some));
    some.full_subgroups = false;  // they have 32 places then, but who knows how many are taken
    EXPECT_FALSE(has_full_subgroups(some));
    some = kRadv;
    some.compute_may_ask = false;
    EXPECT_FALSE(has_full_subgroups(some));
    some = kRadv;
    some.size_control = false;
    EXPECT_FALSE(has_full_subgroups(some));
    some = kNvk;
    some.usual = 16;  // a driver that contradicts itself
    EXPECT_FALSE(has_full_subgroups(some));
}

TEST(SubgroupSizes, ASizeIsAskedForWhereThereIsAChoice) {
    EXPECT_EQ(*subgroup_size_to_request(card(kNvk), 32), 0u);
    EXPECT_EQ(*subgroup_size_to_request(card(kRadv), 32), 32u);
    EXPECT_EQ(*subgroup_size_to_request(card(kRadv), 64), 64u);
    EXPECT_EQ(*subgroup_size_to_request(card(kAnv), 16), 16u);
    for (const uint32_t wanted : {16u, 64u})
        EXPECT_EQ(subgroup_size_to_request(card(kNvk), wanted).error().code, ErrorCode::unsupported);
    SubgroupSizes mute = kRadv;
    mute.compute_may_ask = false;
    const auto refused = subgroup_size_to_request(card(mute), 32);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("without a choice"), std::string::npos);
}

}  // namespace
}  // namespace atlas::vk
