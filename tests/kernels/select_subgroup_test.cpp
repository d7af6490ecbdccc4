// The kernels of subgroups and matrices, for made-up drivers.
#include <gtest/gtest.h>

#include <set>

#include "runtime/kernels/select/attention_variant.h"
#include "runtime/kernels/select/matmul_variant.h"
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
    const vk::DeviceCaps nvk = card(
        {.size_control = true, .full_subgroups = true, .compute_may_ask = false, .usual = 32, .min = 32, .max = 32},
        {.m = 16, .n = 16, .k = 16});
    EXPECT_EQ(choose_matmul(nvk, {}, {Format::q4_k, 4096, 4096, 1}).family, KernelFamily::matvec_subgroup);
    if (!has_kernel(KernelFamily::matmul_coopmat, Format::q4_k))
        GTEST_SKIP() << "this build's shader compiler knows no cooperative matrices";
    EXPECT_EQ(choose_matmul(nvk, {}, {Format::q4_k, 4096, 4096, 512}).family, KernelFamily::matmul_coopmat);
    const AttentionShape prompt{.head_dim = 128,
                                .value_dim = 128,
                                .heads_per_kv = 4,
                                .n_head_kv = 8,
                                .n_tokens = 512,
                                .max_kv_tokens = 4096,
                                .page_tokens = 32,
                                .formats = {Format::f16, Format::f16}};
    EXPECT_EQ(choose_attention(nvk, {}, prompt).family, KernelFamily::attention_coopmat);
}

// A thread of Intel's has the same registers at every width: at 32 lanes `matvec_subgroup_q4_k` spilled 489 of them
// with 8 columns.
TEST(SelectSubgroup, WhereThirtyTwoIsTheWidestOfSeveralFewerAreAskedFor) {
    const auto device = [](uint32_t min, uint32_t max, vk::CoopMatShape matrix, uint32_t vendor = 0) {
        vk::DeviceCaps caps = card({.size_control = true,
                                    .full_subgroups = true,
                                    .compute_may_ask = true,
                                    .usual = max,
                                    .min = min,
                                    .max = max},
                                   matrix);
        caps.vendor_id = vendor;
        return caps;
    };
    const auto sizes = [](const vk::DeviceCaps& caps) {
        std::set<uint32_t> asked;
        for (const uint32_t n_tokens : {1u, 8u, 24u, 512u}) {
            for (const MatmulVariant& v : matmul_candidates(caps, {Format::q4_k, 4096, 4096, n_tokens})) {
                if (v.family != KernelFamily::matvec_dot) asked.insert(v.subgroup_size);  // all widths, for tuning
            }
            const AttentionShape shape{.head_dim = 128,
                                       .value_dim = 128,
                                       .heads_per_kv = 4,
                                       .n_head_kv = 8,
                                       .n_tokens = n_tokens,
                                       .max_kv_tokens = 4096,
                                       .page_tokens = 32,
                                       .formats = {Format::f16, Format::f16}};
            for (const AttentionVariant& v : attention_candidates(caps, shape)) asked.insert(v.subgroup_size);
        }
        asked.erase(0);  // the driver's choice: the fallbacks
        return asked;
    };
    constexpr uint32_t kIntel = 0x8086;
    EXPECT_EQ(sizes(device(16, 32, {.m = 8, .n = 16, .k = 16}, kIntel)), std::set<uint32_t>{16});  // B580
    EXPECT_EQ(sizes(device(8, 32, {.m = 8, .n = 8, .k = 16}, kIntel)),
              std::set<uint32_t>{8});  // A770: registers of half the size
    EXPECT_EQ(sizes(device(8, 32, {.m = 8, .n = 16, .k = 16})), std::set<uint32_t>{16});    // any vendor
    EXPECT_EQ(sizes(device(32, 64, {.m = 16, .n = 16, .k = 16})), std::set<uint32_t>{32});  // AMD
    EXPECT_EQ(sizes(device(32, 32, {.m = 16, .n = 16, .k = 16})), std::set<uint32_t>{32});  // NVIDIA
}

TEST(SelectSubgroup, AnIntelLaneHoldsFewSums) {
    enum { kTokens = 2, kRows = 3, kSubOut = 3, kSubTokens = 4, kM = 5, kN = 6 };
    for (const uint32_t n : {16u, 8u}) {  // B580, A770
        vk::DeviceCaps caps = card(
            {.size_control = true, .full_subgroups = true, .compute_may_ask = true, .usual = 32, .min = n, .max = 32},
            {.m = 8, .n = n, .k = 16});
        caps.vendor_id = 0x8086;
        caps.int8 = caps.integer_dot = true;
        vk::CoopMatShape bytes = caps.coopmat_shapes.front();
        bytes.k = 32;
        bytes.a = bytes.b = ComponentType::s8;
        bytes.c = bytes.result = ComponentType::s32;
        caps.coopmat_shapes.push_back(bytes);
        for (const uint32_t n_tokens : {25u, 64u, 512u}) {
            std::vector<MatmulVariant> offered;
            offer_matmul_coopmat(caps, {Format::q4_k, 4096, 4096, n_tokens}, offered);
            offer_matmul_coopmat_s8(caps, {Format::q4_k, 4096, 4096, n_tokens}, offered);
            if (has_kernel(KernelFamily::matmul_coopmat, Format::q4_k)) {
                EXPECT_FALSE(offered.empty());
            }
            for (const MatmulVariant& v : offered) {
                EXPECT_LE(v.constants[kSubOut] / v.constants[kM] * (v.constants[kSubTokens] / v.constants[kN]), 4u)
                    << v.name();
                EXPECT_EQ(v.tile_out / v.constants[kSubOut] * (v.tile_tokens / v.constants[kSubTokens]) * n,
                          v.constants[0])
                    << v.name();
            }
        }
        for (const uint32_t n_tokens : {8u, 24u}) {
            const MatmulVariant v = choose_matmul(caps, {}, {Format::q4_k, 4096, 4096, n_tokens});
            EXPECT_LE(v.constants.at(kTokens) * v.constants.at(kRows), n == 16 ? 24u : 4u) << v.name();
        }
        EXPECT_FALSE(choose_gated(caps, {}, {Format::q6_k, 4096, 4096, 8})) << "two rows of a team do not fit";
        EXPECT_EQ(choose_gated(caps, {}, {Format::q4_k, 4096, 4096, 8}).has_value(), n == 16);
    }
}

TEST(SelectSubgroup, ColumnsOfAVerifyStepLeaveRegistersForManyWarps) {
    vk::DeviceCaps caps =
        card({.size_control = true, .full_subgroups = true, .compute_may_ask = true, .usual = 32, .min = 32, .max = 32},
             {.m = 16, .n = 16, .k = 16});
    enum { kTokens = 2, kRows = 3 };
    const auto rows = [&](Format format) {
        const MatmulVariant v = choose_matmul(caps, {}, {format, 4096, 4096, 8});
        EXPECT_EQ(v.constants.at(kTokens), 8u);
        return v.constants.at(kRows);
    };
    EXPECT_EQ(rows(Format::q6_k), 4u);
    caps.vendor_id = 0x10DE;
    EXPECT_EQ(rows(Format::q6_k), 2u);
    EXPECT_EQ(rows(Format::f32), 2u);
    EXPECT_EQ(rows(Format::q4_k), 4u);
    EXPECT_EQ(choose_gated(caps, {}, {Format::q6_k, 4096, 4096, 8})->constants.at(kRows), 2u);
}

}  // namespace
}  // namespace atlas
