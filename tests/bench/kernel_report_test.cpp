// Reading what drivers say of compiled kernels, and the list of kernels of a device that is not there.
#include "bench/kernel_report.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "bench/every_kernel.h"
#include "tests/vk/made_up_devices.h"

namespace atlas::bench {
namespace {

constexpr std::string_view kAmd = R"(BB0:
    s_load_b128 s[20:23], s[18:19], null                        ; f4080509
    v_mov_b32_e32 v4, 0                                         ; 7e080280
BB1:
    v_cmpx_le_u32_e32 s4, v3                                    ; 7d960604
BB2:
    buffer_load_b128 v[20:23], v18, s[24:27], 0 offen           ; e05c0000
    global_load_b128 v[1:4], v[5:6], off                        ; dc5e0000
    buffer_load_b64 v[20:21], v18, s[24:27], 0 offen            ; e0540000
    v_dot4_i32_iu8 v1, v2, v3, v4 neg_lo:[1,1,0]                ; cc164001
    v_wmma_f32_16x16x16_f16 v[1:8], v[9:16], v[17:24], v[1:8]   ; cc404001
    v_dual_fmac_f32 v8, v12, v21 :: v_dual_mov_b32 v9, 0        ; c8000000
    s_cbranch_scc1 BB2                                          ; bfa10002
    v_add_f32_e32 v1, v2, v3                                    ; 06020702
    s_branch BB1                                                ; bfa00001
BB3:
    v_add_f32_e32 v1, v2, v3                                    ; 06020702
    s_endpgm                                                    ; bfb00000
)";

TEST(KernelReport, CountsAmdInstructions) {
    const InstructionCounts counts = count_instructions(kAmd);
    EXPECT_EQ(counts.matrix, 1u);
    EXPECT_EQ(counts.dot, 1u);
    EXPECT_EQ(counts.wide_loads, 2u);
    EXPECT_EQ(counts.loop_valu, 3u);  // of BB2, not of BB1 around it, nor of what is outside
}

TEST(KernelReport, CountsNvidiaInstructions) {
    const InstructionCounts counts = count_instructions("/*0090*/ @P0 HMMA.16816.F32 R4, R8, R12, R4 ;\n"
                                                        "/*00a0*/ IMMA.16832.S8.S8 R4, R8.ROW, R12.COL, R4 ;\n"
                                                        "/*00b0*/ LDG.E.128 R4, [R2.64] ;\n"
                                                        "/*00c0*/ LDG.E R4, [R2.64] ;\n"
                                                        "/*00d0*/ IDP.4A.S8.S8 R1, R2, R3, R4 ;\n");
    EXPECT_EQ(counts.matrix, 2u);
    EXPECT_EQ(counts.dot, 1u);
    EXPECT_EQ(counts.wide_loads, 1u);
}

TEST(KernelReport, TextThatIsNoAssemblyCountsNothing) {
    for (const std::string_view text : {"", "\n\n", "BB", "BB1", "BB1:", ";", "/* v_wmma */", "s_branch BB7", "wide v_wmma_f32"}) {
        const InstructionCounts counts = count_instructions(text);
        EXPECT_EQ(counts.matrix + counts.dot + counts.wide_loads + counts.loop_valu, 0u) << text;
    }
}

TEST(KernelReport, DriversNamesBecomeOurs) {
    const std::vector<vk::KernelStatistic> radv = {{"SGPRs", 128}, {"VGPRs", 48},      {"Spilled SGPRs", 0}, {"Spilled VGPRs", 3},
                                                   {"LDS size", 512}, {"Subgroups per SIMD", 16}, {"Instructions", 320}, {"Code size", 4000}};
    const KernelReport report = make_kernel_report("matvec_q4_k(64)", radv, kAmd);
    EXPECT_EQ(report.vgprs, 48);
    EXPECT_EQ(report.spilled_sgprs, 0);
    EXPECT_EQ(report.spilled_vgprs, 3);
    EXPECT_EQ(report.waves_per_simd, 16);
    EXPECT_FALSE(report.valu);
    EXPECT_EQ(report.matrix_instructions, 1);
}

TEST(KernelReport, JsonHasEveryFieldAndNullWhereNothingIsSaid) {
    const auto json = to_json(make_kernel_report("add(64)", {}, ""));
    EXPECT_EQ(json.at("name"), "add(64)");
    for (const char* field : {"sgprs", "vgprs", "spilled_sgprs", "spilled_vgprs", "lds_bytes", "waves_per_simd", "instructions", "valu", "vmem",
                              "latency", "inverse_throughput", "matrix_instructions", "dot_instructions", "wide_loads"}) {
        EXPECT_TRUE(json.at(field).is_null()) << field;
    }
    const std::vector<vk::KernelStatistic> some = {{"VGPRs", 48}, {"Inverse Throughput", 2.5}};
    const auto filled = to_json(make_kernel_report("add(64)", some, "nothing"));
    EXPECT_EQ(filled.at("vgprs").dump(), "48");
    EXPECT_EQ(filled.at("inverse_throughput").dump(), "2.5");
    EXPECT_EQ(filled.at("dot_instructions").dump(), "0");
}

TEST(KernelReport, TheTableHasALineForEachKernel) {
    const std::vector<KernelReport> reports = {make_kernel_report("a", {}, ""), make_kernel_report("a_long_name(64, 32)", {}, "")};
    const std::string text = table_text(reports);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
    EXPECT_NE(text.find("a_long_name(64, 32)"), std::string::npos);
}

vk::DeviceCaps card() {
    vk::DeviceCaps caps = vk::made_up_device("a card", vk::DeviceType::discrete);
    caps.max_workgroup_size = {1024, 1024, 64};
    caps.max_workgroup_count = {65535, 65535, 65535};
    return caps;
}

TEST(EveryKernel, HasEveryFormatAndEveryOfferedVariant) {
    PlanBackend planner(card());
    const auto planned = plan_every_kernel(planner, card());
    ASSERT_TRUE(planned) << planned.error().message;
    // In the layout that the device gets.
    const auto has = [&](KernelFamily family, Format format, const std::vector<uint32_t>& constants) {
        const KernelModule& module = kernel_module(family, format, choose_layout(card(), format));
        return std::any_of(planner.kernels().begin(), planner.kernels().end(), [&](const vk::KernelSpec& spec) {
            return spec.spirv.data() == module.spirv.data() && spec.spec_constants == constants;
        });
    };
    for (size_t i = 0; i < kFormats.size(); ++i) {
        for (const uint32_t n_tokens : {1u, 8u, 24u, 512u}) {
            const Layout layout = choose_layout(card(), static_cast<Format>(i));
            for (const MatmulVariant& variant : matmul_candidates(card(), {static_cast<Format>(i), 4096, 4096, n_tokens, layout})) {
                EXPECT_TRUE(has(variant.family, static_cast<Format>(i), variant.constants)) << variant.name() << " x " << n_tokens;
            }
        }
    }
}

TEST(EveryKernel, IsInTheListOnce) {
    PlanBackend planner(card());
    ASSERT_TRUE(plan_every_kernel(planner, card()));
    std::vector<std::string> names;
    for (const vk::KernelSpec& spec : planner.kernels()) names.push_back(report_name(spec));
    std::sort(names.begin(), names.end());
    EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

}  // namespace
}  // namespace atlas::bench
