// The choice of kernels for made-up devices, and where views start in bindings.
#include "runtime/kernels/select/select.h"

#include <gtest/gtest.h>

#include "runtime/kernels/constant_pool.h"
#include "runtime/kernels/select/matmul_variant.h"
#include "runtime/kernels/view.h"

namespace atlas {
namespace {

vk::DeviceCaps device(vk::DeviceType type, uint32_t subgroup, uint32_t max_invocations = 1024) {
    vk::DeviceCaps caps;
    caps.type = type;
    caps.subgroup_size = caps.min_subgroup_size = caps.max_subgroup_size = subgroup;
    caps.subgroup_ballot = caps.subgroup_arithmetic = true;
    caps.max_workgroup_invocations = max_invocations;
    caps.max_workgroup_size = {max_invocations, max_invocations, 64};
    caps.max_shared_bytes = 32768;
    return caps;
}

TEST(Select, EveryCandidateIsOneThatItsShaderRequires) {
    for (const auto type : {vk::DeviceType::discrete, vk::DeviceType::integrated, vk::DeviceType::software}) {
        for (const uint32_t subgroup : {1u, 4u, 8u, 16u, 32u, 64u, 128u}) {
            for (const uint32_t invocations : {128u, 256u, 1024u}) {
                const vk::DeviceCaps caps = device(type, subgroup, invocations);
                for (const uint32_t n_tokens : {1u, 2u, 3u, 8u, 9u, 512u}) {
                    for (const uint32_t n_in : {1u, 31u, 32u, 256u, 4096u}) {
                        const auto candidates = matmul_candidates(caps, {Format::q4_k, 100, n_in, n_tokens});
                        ASSERT_FALSE(candidates.empty());
                        std::set<std::string> names;
                        for (const MatmulVariant& v : candidates) {
                            EXPECT_TRUE(has_kernel(v.family, Format::q4_k)) << v.name();
                            EXPECT_TRUE(names.insert(v.name()).second) << v.name() << " twice";
                            EXPECT_LE(v.constants.at(0), invocations) << v.name();
                            EXPECT_LE(v.shared_bytes, caps.max_shared_bytes) << v.name();
                            EXPECT_GE(v.tile_out, 1u);
                            EXPECT_GE(v.tile_tokens, 1u);
                        }
                        EXPECT_TRUE(candidates.back().subgroup_size == 0 && candidates.back().x == XKind::f32)
                            << "no baseline";
                    }
                }
            }
        }
    }
}

TEST(Select, OnePassOverTheWeightsForEveryWidthOfAVerifyStep) {
    for (const auto type : {vk::DeviceType::discrete, vk::DeviceType::integrated}) {
        for (const bool subgroups : {false, true}) {
            vk::DeviceCaps caps = device(type, 64);
            caps.min_subgroup_size = 32;
            caps.subgroup_size_control = caps.subgroup_shuffle = subgroups;
            for (size_t f = 0; f < kFormats.size(); ++f) {
                for (const uint32_t n_in : {64u, 896u, 5120u, 27648u}) {
                    const MatmulShape one{static_cast<Format>(f), 5120, n_in, 1};
                    const MatmulVariant first = choose_matmul(caps, {}, one);
                    uint32_t last_width = 0;
                    for (uint32_t n_tokens = 1; n_tokens <= 24; ++n_tokens) {
                        MatmulShape shape = one;
                        shape.n_tokens = n_tokens;
                        const MatmulVariant v = choose_matmul(caps, {}, shape);
                        EXPECT_EQ(v.family, subgroups ? KernelFamily::matvec_subgroup : KernelFamily::matvec);
                        EXPECT_GE(v.tile_tokens, n_tokens) << "a second pass over the weights";
                        EXPECT_LE(v.tile_tokens, n_tokens + 3) << "sums for tokens that are not there";
                        EXPECT_GE(v.tile_tokens, last_width);
                        EXPECT_EQ(v.constants.at(1), first.constants.at(1))
                            << "sums of a token would be added up in another order";
                        EXPECT_LE(v.shared_bytes, caps.max_shared_bytes);
                        last_width = v.tile_tokens;
                    }
                }
            }
        }
    }
}

TEST(Select, BroadcastNeedsSubgroupsOfOneSize) {
    const auto family = [](const vk::DeviceCaps& caps) {
        return choose_matmul(caps, {}, {Format::q4_0, 100, 256, 1}).family;
    };
    vk::DeviceCaps caps = device(vk::DeviceType::software, 8);
    EXPECT_EQ(family(caps), KernelFamily::matvec_rows);
    caps.min_subgroup_size = 4;
    EXPECT_EQ(family(caps), KernelFamily::matvec);
    caps.min_subgroup_size = 8;
    caps.subgroup_ballot = false;
    EXPECT_EQ(family(caps), KernelFamily::matvec);
}

// Mesa's software device before and from version 26 on, where loads become gathers (select_matvec_rows.cpp).
TEST(Select, SoftwareDevicesReadRowsAsTheirCompilerLikesIt) {
    vk::DeviceCaps caps = device(vk::DeviceType::software, 8);
    caps.driver_id = 13;
    const auto rows = [&](Format format, Layout layout, uint32_t n_tokens, uint32_t n_out = 4096) {
        const MatmulVariant v = choose_matmul(caps, {}, {format, n_out, 1024, n_tokens, layout});
        EXPECT_EQ(v.family, KernelFamily::matvec_rows);
        EXPECT_EQ(v.tile_out, 8 * v.constants.at(3));
        return v.constants.at(3);
    };
    caps.driver_version = 1;
    EXPECT_EQ(choose_layout(caps, Format::q8_0), Layout::blocks);
    EXPECT_EQ(rows(Format::q8_0, Layout::blocks, 1), 1u);
    caps.driver_version = 26u << 22;
    for (const Format format : {Format::q8_0, Format::q4_0, Format::q5_0, Format::q6_k, Format::q3_k, Format::f16,
                                Format::mxfp4, Format::q4_1}) {
        EXPECT_EQ(choose_layout(caps, format), Layout::planar) << info(format).name;
        EXPECT_EQ(rows(format, Layout::blocks, 1), format == Format::q4_1 ? 4u : 2u) << info(format).name;
    }
    for (const Format format : {Format::q2_k, Format::iq4_xs, Format::q4_k, Format::q5_k, Format::f32})
        EXPECT_EQ(choose_layout(caps, format), Layout::blocks);
    EXPECT_EQ(rows(Format::q8_0, Layout::planar, 1), 8u);
    EXPECT_EQ(rows(Format::q8_0, Layout::planar, 1, 576), 4u);
    EXPECT_EQ(rows(Format::q8_0, Layout::planar, 8), 4u);
    EXPECT_EQ(rows(Format::f16, Layout::planar, 1), 4u);
    EXPECT_EQ(rows(Format::f16, Layout::planar, 8), 2u);
    EXPECT_EQ(rows(Format::q6_k, Layout::planar, 1), 4u);
    EXPECT_EQ(rows(Format::q4_k, Layout::blocks, 1), 8u);
    EXPECT_EQ(rows(Format::q4_1, Layout::blocks, 2), 2u);
}

TEST(Select, WhatWasLearnedDecides) {
    const vk::DeviceCaps caps = device(vk::DeviceType::discrete, 32);
    const MatmulShape shape{Format::q4_0, 100, 256, 40};
    const auto candidates = matmul_candidates(caps, shape);
    ASSERT_GE(candidates.size(), 2u);
    KernelChoices choices;
    EXPECT_EQ(choose_matmul(caps, choices, shape).name(), candidates[0].name());
    choices.preferred[tuning_key(shape)] = candidates.back().name();
    EXPECT_EQ(choose_matmul(caps, choices, shape).name(), candidates.back().name());
    choices.rejected.insert(rejection_key(candidates.back(), shape.weight));
    EXPECT_EQ(choose_matmul(caps, choices, shape).name(), candidates[0].name());
    choices.rejected.insert(rejection_key(candidates[0], shape.weight));
    EXPECT_NE(choose_matmul(caps, choices, shape).name(), candidates[0].name());
    for (const MatmulVariant& v : candidates) choices.rejected.insert(rejection_key(v, shape.weight));
    EXPECT_EQ(choose_matmul(caps, choices, shape).name(), candidates.back().name()) << "the baseline stays";
}

TEST(Select, RowLanesArePowersOfTwo) {
    for (const uint32_t cols : {1u, 64u, 576u, 4096u, 100000u}) {
        const uint32_t lanes = choose_row_lanes(device(vk::DeviceType::discrete, 32), cols);
        EXPECT_EQ(lanes & (lanes - 1), 0u);
        EXPECT_LE(lanes, 256u);
    }
}

TEST(View, StartsAtAnAlignedByteAWholeNumberOfUnitsBefore) {
    for (const uint32_t unit : {1u, 2u, 4u, 17u, 18u, 20u, 34u, 84u, 110u, 144u, 210u}) {
        for (const uint32_t alignment : {4u, 16u, 64u, 256u}) {
            for (const uint64_t tensor_at : {uint64_t{0}, uint64_t{256}, uint64_t{256} * 999, uint64_t{5} << 32}) {
                for (const uint64_t blocks : {0u, 1u, 2u, 7u, 104u, 105u, 1000u, 123457u}) {
                    const uint64_t offset = tensor_at + blocks * unit;
                    const AlignedView view = align_view(offset, 1000, unit, alignment);
                    EXPECT_EQ(view.first_byte % alignment, 0u);
                    EXPECT_EQ(view.first_byte + uint64_t{view.at_units} * unit, offset);
                    EXPECT_EQ(view.first_byte + view.bytes, offset + 1000);
                    EXPECT_LT(view.at_units, alignment) << "more than the least common multiple before";
                }
            }
        }
    }
}

TEST(View, RowsThatFitDoFitWhereverTheyStart) {
    for (const uint32_t unit : {4u, 18u, 210u}) {
        for (const uint32_t stride_units : {5u, 9u, 40u}) {
            const uint64_t row = uint64_t{5} * unit, stride = uint64_t{stride_units} * unit;
            const uint32_t rows = rows_that_fit(row, stride, unit, 64, 65536);
            ASSERT_GT(rows, 0u);
            for (uint64_t first = 0; first < 40; ++first) {
                EXPECT_LE(align_view(first * stride, (rows - 1) * stride + row, unit, 64).bytes, 65536u);
            }
        }
    }
    EXPECT_EQ(rows_that_fit(65537, 65537, 1, 64, 65536), 0u);
}

TEST(ConstantPool, KeepsEqualBytesOnce) {
    ConstantPool pool;
    const std::vector<std::byte> a(100, std::byte{1}), b(100, std::byte{2});
    EXPECT_EQ(pool.offset_of(a), 0u);
    EXPECT_EQ(pool.offset_of(b), 256u);
    EXPECT_EQ(pool.offset_of(a), 0u);
    EXPECT_EQ(pool.bytes().size(), 356u);
    EXPECT_FALSE(pool.overflowed());
    pool.offset_of(std::vector<std::byte>(ConstantPool::kCapacityBytes));
    EXPECT_TRUE(pool.overflowed());
}

}  // namespace
}  // namespace atlas
