// The kernels of subgroups and matrices, for drivers that are not there.
#include <gtest/gtest.h>

#include <set>

#include "runtime/kernels/attention_variant.h"
#include "runtime/kernels/matmul_variant.h"
#include "runtime/vk/subgroup_sizes.h"
#include "tests/vk/made_up_devices.h"

namespace atlas {
namespace {

using vk::ComponentType;

vk::DeviceCaps card(const vk::SubgroupSizes& sizes, vk::CoopMatShape matrix) {
    vk::DeviceCaps caps = vk::made_up_device("a card", vk::DeviceType::discrete);
    caps.subgroup_size = sizes.usual;
    caps.min_subgroup_size = sizes.min;
    caps.max_subgroup_size = sizes.max;
    caps.subgroup_size_control = vk::has_full_subgroups(sizes);
    caps.subgroup_vote = caps.subgroup_shuffle = caps.fp16 = caps.coopmat = caps.vulkan_memory_model = true;
    caps.max_workgroup_size = {1024, 1024, 64};
    matrix.a = matrix.b = ComponentType::f16;
    matrix.c = matrix.result = ComponentType::f32;
    matrix.subgroup_scope = true;
    caps.coopmat_shapes = {matrix};
    return caps;
}

// NVK (Mesa 26.2) has subgroups of 32 and says that no stage may ask for a size: it dropped 282 of 633 pipelines.
TEST(SelectSubgroup, OneSizeHasTheKernelsOfSubgroupsAndMatrices) {
    const vk::DeviceCaps nvk = card({.size_control = true, .full_subgroups = true, .compute_may_ask = false, .usual = 32, .min = 32, .max = 32},
                                    {.m = 16, .n = 16, .k = 16});
    EXPECT_EQ(choose_matmul(nvk, {}, {Format::q4_k, 4096, 4096, 1}).family, KernelFamily::matvec_subgroup);
    if (!has_kernel(KernelFamily::matmul_coopmat, Format::q4_k)) GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    EXPECT_EQ(choose_matmul(nvk, {}, {Format::q4_k, 4096, 4096, 512}).family, KernelFamily::matmul_coopmat);
    const AttentionShape prompt{.head_dim = 128, .value_dim = 128, .heads_per_kv = 4, .n_head_kv = 8, .n_tokens = 512, .max_kv_tokens = 4096,
                                .page_tokens = 32, .formats = {Format::f16, Format::f16}};
    EXPECT_EQ(choose_attention(nvk, {}, prompt).family, KernelFamily::attention_coopmat);
}

}  // namespace
}  // namespace atlas
