// When attention by cooperative matrices is offered, for made-up devices.
#include <gtest/gtest.h>

#include "runtime/kernels/select/attention_variant.h"
#include "runtime/ops/dry_ops.h"

namespace atlas {
namespace {

vk::DeviceCaps card(uint32_t m, uint32_t n, uint32_t k) {
    vk::DeviceCaps caps;
    caps.type = vk::DeviceType::discrete;
    caps.subgroup_size = 64;
    caps.min_subgroup_size = 32;
    caps.max_subgroup_size = 64;
    caps.subgroup_size_control = caps.subgroup_basic = caps.subgroup_vote = caps.subgroup_arithmetic =
        caps.subgroup_shuffle = true;
    caps.fp16 = caps.vulkan_memory_model = caps.coopmat = caps.buffer_device_address = true;
    caps.max_workgroup_invocations = 1024;
    caps.max_shared_bytes = 48 * 1024;
    using enum vk::ComponentType;
    caps.coopmat_shapes = {{16, 16, 32, s8, s8, s32, s32, true, false},
                           {m, n, k, f16, f16, f16, f16, true, false},
                           {m, n, k, f16, f16, f32, f32, true, false}};
    return caps;
}

AttentionShape shape(uint32_t head_dim, uint32_t value_dim, uint32_t n_tokens, KvFormats kv = Format::f16) {
    return {.head_dim = head_dim,
            .value_dim = value_dim,
            .heads_per_kv = 4,
            .n_head_kv = 8,
            .n_tokens = n_tokens,
            .max_kv_tokens = 4096,
            .page_tokens = 32,
            .formats = kv};
}

bool offered(const vk::DeviceCaps& caps, const AttentionShape& s,
             KernelFamily family = KernelFamily::attention_coopmat) {
    for (const AttentionVariant& v : attention_candidates(caps, s)) {
        if (v.family == family) return true;
    }
    return false;
}

TEST(SelectAttentionCoopmat, FirstForPromptsOnCards) {
    if (!has_kernel(KernelFamily::attention_coopmat))
        GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    for (const vk::DeviceCaps& caps : {card(16, 16, 16), card(16, 8, 16), card(8, 8, 8)}) {
        for (uint32_t dim = 8; dim <= 256; dim += 8) {
            const auto candidates = attention_candidates(caps, shape(dim, dim, 512));
            EXPECT_EQ(candidates.front().family, KernelFamily::attention_coopmat) << dim;
            EXPECT_EQ(candidates.back().family, KernelFamily::attention_keys) << "no baseline";
            for (const AttentionVariant& v : candidates) {
                EXPECT_LE(v.shared_bytes, caps.max_shared_bytes) << v.name();
                EXPECT_LE(v.constants.at(0), caps.max_workgroup_invocations) << v.name();
                if (v.family == KernelFamily::attention_coopmat) {
                    EXPECT_EQ(kKeysPerTile % v.constants.at(8), 0u) << v.name();
                }
            }
        }
    }
}

TEST(SelectAttentionCoopmat, OnlyWhereItRunsAndIsWanted) {
    if (!has_kernel(KernelFamily::attention_coopmat))
        GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    const vk::DeviceCaps good = card(16, 16, 16);
    EXPECT_TRUE(offered(good, shape(128, 128, kBatchInvariantWidth + 1)));
    for (const uint32_t n : {1u, 2u, 8u, kBatchInvariantWidth}) EXPECT_FALSE(offered(good, shape(128, 128, n))) << n;
    EXPECT_FALSE(offered(good, shape(128, 128, 512, Format::f32)));
    EXPECT_FALSE(offered(good, shape(128, 128, 512, {Format::q8_0, Format::f32})));
    EXPECT_TRUE(offered(good, shape(128, 128, 512, {Format::q8_0, Format::q4_0})));
    for (bool vk::DeviceCaps::*needed :
         {&vk::DeviceCaps::coopmat, &vk::DeviceCaps::fp16, &vk::DeviceCaps::vulkan_memory_model,
          &vk::DeviceCaps::subgroup_size_control, &vk::DeviceCaps::subgroup_shuffle}) {
        vk::DeviceCaps caps = good;
        caps.*needed = false;
        EXPECT_FALSE(offered(caps, shape(128, 128, 512)));
    }
    vk::DeviceCaps caps = good;
    caps.coopmat_shapes.pop_back();  // sums of f16 alone
    EXPECT_FALSE(offered(caps, shape(128, 128, 512)));
    caps = good;
    caps.max_shared_bytes = 8 * 1024;
    EXPECT_FALSE(offered(caps, shape(256, 256, 512)));
    caps = good;
    caps.type = vk::DeviceType::software;
    caps.subgroup_ballot = true;
    EXPECT_EQ(attention_candidates(caps, shape(128, 128, 512)).front().family, KernelFamily::attention_rows);
    EXPECT_TRUE(offered(caps, shape(128, 128, 512)));
}

TEST(SelectAttentionCoopmat, SecondVersionNeedsAllOfItsExtension) {
    if (!has_kernel(KernelFamily::attention_coopmat2))
        GTEST_SKIP() << "this build's shader compiler lacks the second version";
    vk::DeviceCaps caps = card(16, 16, 16);
    caps.coopmat2 = {true, true, true, true, true, true, true};
    EXPECT_TRUE(offered(caps, shape(128, 128, 512), KernelFamily::attention_coopmat2));
    for (bool vk::CoopMat2Caps::*needed :
         {&vk::CoopMat2Caps::workgroup_scope, &vk::CoopMat2Caps::flexible_dimensions, &vk::CoopMat2Caps::reductions,
          &vk::CoopMat2Caps::conversions, &vk::CoopMat2Caps::per_element_operations,
          &vk::CoopMat2Caps::tensor_addressing, &vk::CoopMat2Caps::block_loads}) {
        vk::DeviceCaps less = caps;
        less.coopmat2.*needed = false;
        EXPECT_FALSE(offered(less, shape(128, 128, 512), KernelFamily::attention_coopmat2));
    }
}

}  // namespace
}  // namespace atlas
