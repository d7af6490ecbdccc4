// Which attention kernels without matrices are offered, for made-up devices.
#include <gtest/gtest.h>

#include "runtime/kernels/select/attention_variant.h"
#include "runtime/ops/dry_ops.h"
#include "runtime/vk/instance.h"
#include "tests/vk/made_up_devices.h"

namespace atlas {
namespace {

AttentionShape shape(uint32_t head_dim, uint32_t value_dim, uint32_t heads_per_kv, uint32_t n_tokens) {
    return {.head_dim = head_dim,
            .value_dim = value_dim,
            .heads_per_kv = heads_per_kv,
            .n_head_kv = 2,
            .n_tokens = n_tokens,
            .max_kv_tokens = 4096,
            .page_tokens = 32,
            .formats = Format::f16};
}

/// The weakest device that is not rejected: no subgroup operation that attention could use, subgroups of one invocation
/// or of many.
vk::DeviceCaps least_device(uint32_t subgroup) {
    vk::DeviceCaps caps = vk::made_up_device("least", vk::DeviceType::integrated);
    caps.subgroup_ballot = caps.subgroup_shuffle = caps.subgroup_vote = caps.subgroup_size_control = false;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
    caps.max_shared_bytes = 32 * 1024;
    caps.max_workgroup_invocations = 256;
    caps.max_workgroup_size = {256, 256, 64};
    EXPECT_EQ(vk::rejection_of(caps), "");
    return caps;
}

TEST(SelectAttention, TheBaselineRunsOnEveryDeviceThatIsNotRejected) {
    for (const uint32_t subgroup : {1u, 4u, 32u, 128u}) {
        const vk::DeviceCaps caps = least_device(subgroup);
        for (uint32_t dim = 8; dim <= 256; dim += 8) {
            for (const uint32_t heads : {1u, 2u, 3u, 5u, 7u, 8u, 9u, 12u, 16u, 48u}) {
                const auto candidates = attention_candidates(caps, shape(dim, 264 - dim, heads, 1));
                ASSERT_EQ(candidates.size(), 1u);
                const AttentionVariant& v = candidates.front();
                EXPECT_EQ(v.family, KernelFamily::attention_keys);
                EXPECT_EQ(v.subgroup_size, 0u);
                EXPECT_LE(v.shared_bytes, 16u * 1024) << v.name();  // what Vulkan promises
                EXPECT_LE(v.constants.at(0), 128u);
                EXPECT_LE(v.rows, 8u);
                EXPECT_EQ(kKeysPerTile % v.constants.at(8), 0u) << v.name();
                // As few blocks as hold the heads of a group.
                EXPECT_EQ((heads + v.rows - 1) / v.rows, (heads + 7) / 8) << v.name();
            }
        }
    }
}

TEST(SelectAttention, TheBaselineHoldsNoSubgroupOperation) {
    const KernelModule& module = kernel_module(KernelFamily::attention_keys);
    constexpr uint32_t kOpCapability = 17, kGroupNonUniform = 61,
                       kGroupNonUniformLast = 68;  // SPIR-V's capabilities of subgroups
    constexpr size_t kHeaderWords = 5;
    size_t n_capabilities = 0;
    for (size_t at = kHeaderWords; at < module.spirv.size() && (module.spirv[at] & 0xFFFFu) == kOpCapability;
         at += module.spirv[at] >> 16) {
        ++n_capabilities;
        EXPECT_FALSE(module.spirv[at + 1] >= kGroupNonUniform && module.spirv[at + 1] <= kGroupNonUniformLast)
            << module.spirv[at + 1];
    }
    EXPECT_GT(n_capabilities, 0u);
}

TEST(SelectAttention, ARowPerInvocationIsForProcessorsWhoseSubgroupsHoldATile) {
    vk::DeviceCaps caps = vk::made_up_device("processor", vk::DeviceType::software);
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.subgroup_ballot = true;
    const auto first = [&] { return attention_candidates(caps, shape(64, 64, 3, 1)).front().family; };
    for (const uint32_t subgroup : {8u, 16u}) {
        caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
        EXPECT_EQ(first(), KernelFamily::attention_rows);
    }
    EXPECT_EQ(attention_candidates(caps, shape(64, 64, 3, 1)).back().family, KernelFamily::attention_keys)
        << "nothing to fall back to";
    caps.min_subgroup_size = 4;  // a driver for processors without wide vectors
    EXPECT_EQ(first(), KernelFamily::attention_keys);
    caps.min_subgroup_size = 8;
    caps.subgroup_ballot = false;
    EXPECT_EQ(first(), KernelFamily::attention_keys);
    caps.subgroup_ballot = true;
    caps.type = vk::DeviceType::discrete;
    EXPECT_EQ(first(), KernelFamily::attention_keys);
}

TEST(SelectAttention, QuantizedKeysAreReadSixteenBytesAtATime) {
    const vk::DeviceCaps caps = least_device(32);
    enum { kHeadDim = 1, kKeyElems = 9 };
    for (const Format format : kKvFormats) {
        for (const uint32_t dim : {64u, 80u, 96u, 128u, 256u}) {
            AttentionShape wanted = shape(dim, dim, 4, 1);
            wanted.formats = {format, format};
            const AttentionVariant v = attention_candidates(caps, wanted).back();
            const bool in_blocks = info(format).block_elems > 1;
            // Each of the four invocations that share a key gets one of 16, or they read 8 as before.
            EXPECT_EQ(v.constants.at(kKeyElems), in_blocks && dim % 64 == 0 ? 16u : 8u)
                << info(format).name << " " << dim;
            EXPECT_EQ(dim % v.constants.at(kKeyElems), 0u);
            EXPECT_LE(v.shared_bytes, 16u * 1024) << v.name();
            vk::DeviceCaps amd = caps;
            amd.vendor_id = 0x1002;
            EXPECT_EQ(attention_candidates(amd, wanted).back().constants.at(kKeyElems), 8u) << "6 waves";
        }
    }
}

TEST(SelectAttention, QuantizedValuesAreReadSixteenBytesAtATimeWhereRegistersAllowIt) {
    enum { kValueElems = 10 };
    const auto elems = [](const vk::DeviceCaps& caps, Format format, uint32_t dim, uint32_t heads) {
        AttentionShape wanted = shape(dim, dim, heads, 1);
        wanted.formats = {Format::f16, format};
        const AttentionVariant v = attention_candidates(caps, wanted).back();
        EXPECT_EQ(dim % v.constants.at(kValueElems), 0u) << v.name();
        EXPECT_LE(v.shared_bytes, 16u * 1024) << v.name();
        return v.constants.at(kValueElems);
    };
    const vk::DeviceCaps caps = least_device(32);
    for (const Format format : kKvFormats) {
        const bool in_blocks = info(format).block_elems > 1;
        for (const uint32_t dim : {16u, 64u, 80u, 128u, 256u})
            EXPECT_EQ(elems(caps, format, dim, 4), in_blocks ? 16u : 8u) << info(format).name;
        EXPECT_EQ(elems(caps, format, 72, 4), 8u);
        EXPECT_EQ(elems(caps, format, 128, 8), 8u) << "8 rows spill 76 registers with 16 columns";
        for (const uint32_t vendor : {0x1002u, 0x8086u}) {
            vk::DeviceCaps few = caps;
            few.vendor_id = vendor;
            EXPECT_EQ(elems(few, format, 128, 4), 8u);
        }
    }
}

TEST(SelectAttention, StepsOfFewTokensRunOnePipeline) {
    const vk::DeviceCaps caps = vk::made_up_device("card", vk::DeviceType::discrete);
    for (const uint32_t heads : {1u, 5u, 8u, 16u}) {
        const std::string one = choose_attention(caps, {}, shape(128, 128, heads, 1)).name();
        for (uint32_t n = 2; n <= kBatchInvariantWidth; ++n)
            EXPECT_EQ(choose_attention(caps, {}, shape(128, 128, heads, n)).name(), one);
    }
}

}  // namespace
}  // namespace atlas
