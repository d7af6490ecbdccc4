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
    const InstructionCounts counts = count_instructions(
        "/*0090*/ @P0 HMMA.16816.F32 R4, R8, R12, R4 ;\n"
        "/*00a0*/ IMMA.16832.S8.S8 R4, R8.ROW, R12.COL, R4 ;\n"
        "/*00b0*/ LDG.E.128 R4, [R2.64] ;\n"
        "/*00c0*/ LDG.E R4, [R2.64] ;\n"
        "/*00d0*/ IDP.4A.S8.S8 R1, R2, R3, R4 ;\n");
    EXPECT_EQ(counts.matrix, 2u);
    EXPECT_EQ(counts.dot, 1u);
    EXPECT_EQ(counts.wide_loads, 1u);
}

// Lines of Mesa 26.2.6 for GA102 (NVK, compiled by NAK).
constexpr std::string_view kNak = R"(block.u 0 L3 [] -> {
      ur0   = s2r sr[0x25]                                  // delay=1 wr:0
} -> [1]
block 1 L2 [0, 29] -> {
@!p0          bra pT L8                                     // delay=1
      r36..40 = ld.global.a64.constant.b128 [r34..36+rZ], pT        // delay=1 wr:0
      r3      = ld.global.a64.constant.b32 [r4..6+rZ], pT           // delay=1 wr:0
@p1   r40..44 = ld.global.a64.constant.b128 [r36..38+rZ], pT        // delay=1 wr:0
      r40..44 = ld.shared.strong.cta.b128 [r36]                     // delay=1 wr:0
                st.shared.strong.cta.b128 [r33.x4+rZ+0x610] r48..52 // delay=1 rd:1
                st.local.strong.cta.b128 [rZ+rZ+0x10] r4..8         // delay=2 rd:1
      r4..8   = ld.local.strong.cta.b128 [rZ+rZ+0x10]               // delay=2 rd:1
      r32..36 = hmma.m16n8k16.f32 r12..16 r28..30 r32..36           // delay=1 wt=000110 rd:1 wr:2
      r56..60 = imma.m16n8k32.i8.i8 r52..56 r44..46 r56..60         // delay=2 wt=110000 rd:4 wr:5
      r60..64 = imma.m16n8k32.i8.i8 r52..56 r46..48 r60..64         // delay=7 wt=000011 rd:0 wr:1
      r8      = idp4.i8.i8 r17 r13 rZ                               // delay=1 wt=000011
      r4 p0   = iadd3 r3 c[0x1][0x0] rZ                             // delay=4
} -> [2, 3]
)";

TEST(KernelReport, CountsInstructionsOfNak) {
    const InstructionCounts counts = count_instructions(kNak);
    EXPECT_EQ(counts.matrix, 3u);
    EXPECT_EQ(counts.dot, 1u);
    EXPECT_EQ(counts.wide_loads, 2u);  // from memory, not from shared or local memory
    EXPECT_EQ(counts.local_accesses, 2u);
}

// Lines of Mesa 26.2.6 for a B580 (ANV).
constexpr std::string_view kAnv = R"(
L0:
        cmp (32)       (ge)f0.0   null          r104              r6<0>           {I@2}
(f0.0)  break (32)                            jip:L1              uip:L1
(W)     send.ugm (1)              r6      r106   null:0  0x00000000  0x0210B580   {ExBSO,I@5,$0}  // wr:1+0, rd:1; load.ugm.d32x4t.a64
        send.ugm (32)             r90     r59    null:0  0x02000000  0x64803500   {ExBSO,I@3,$0}  // wr:2+0, rd:8; load.ugm.d32x4.a32.bti[2]
(f0.0)  send.ugm (32)             r13     r11    null:0  0x00000000  0x64200500   {ExBSO,A@1,$1}  // wr:2+0, rd:2; load.ugm.d32.a32.bti[0]
        send.slm (32)             null    r22    r12:8   0x00608200  0x04003504   {ExBSO,I@3,$9}  // wr:2+8, rd:0; store.slm.d32x4.a32.?
        dp4a (32)                 r97:d         r43<0>:d          r13:d             r5<1>:d {$4.dst}
(W)     dpas.8x8 (16)             r28<0>:d      null              r104<0;0,0>:b     r91<0;0,0>:b {$2}
)";

TEST(KernelReport, CountsIntelsInstructions) {
    const InstructionCounts counts = count_instructions(kAnv);
    EXPECT_EQ(counts.matrix, 1u);
    EXPECT_EQ(counts.dot, 1u);
    EXPECT_EQ(counts.wide_loads, 1u);  // a lane's, not one for the whole subgroup, and no store
}

TEST(KernelReport, TextThatIsNoAssemblyCountsNothing) {
    for (const std::string_view text :
         {"", "\n\n", "BB", "BB1", "BB1:", ";", "/* v_wmma */", "s_branch BB7", "wide v_wmma_f32"}) {
        const InstructionCounts counts = count_instructions(text);
        EXPECT_EQ(counts.matrix + counts.dot + counts.wide_loads + counts.loop_valu, 0u) << text;
    }
}

TEST(KernelReport, DriversNamesBecomeOurs) {
    const std::vector<vk::KernelStatistic> radv = {{"SGPRs", 128},        {"VGPRs", 48},
                                                   {"Spilled SGPRs", 0},  {"Spilled VGPRs", 3},
                                                   {"LDS size", 512},     {"Subgroups per SIMD", 16},
                                                   {"Instructions", 320}, {"Code size", 4000}};
    const KernelReport report = make_kernel_report("matvec_q4_k(64)", radv, kAmd);
    EXPECT_EQ(report.vgprs, 48);
    EXPECT_EQ(report.spilled_sgprs, 0);
    EXPECT_EQ(report.spilled_vgprs, 3);
    EXPECT_EQ(report.waves_per_simd, 16);
    EXPECT_FALSE(report.valu);
    EXPECT_EQ(report.matrix_instructions, 1);
}

TEST(KernelReport, NamesOfNvkBecomeOurs) {
    // matmul_coopmat_s8_q4_k(256, 128, 128, 64, 32, ...) on GA102, Mesa 26.2.6.
    const std::vector<vk::KernelStatistic> nvk = {{"Instruction count", 3620}, {"Static cycle count", 41906},
                                                  {"Max warps/SM", 12},        {"Spills to memory", 3},
                                                  {"Fills from memory", 4},    {"Spills to reg", 2},
                                                  {"Fills from reg", 1},       {"Code size", 57920},
                                                  {"Number of GPRs", 160},     {"SLM size", 256}};
    const KernelReport report = make_kernel_report("a", nvk, kNak);
    EXPECT_EQ(report.instructions, 3620);
    EXPECT_EQ(report.latency, 41906);
    EXPECT_EQ(report.max_warps, 12);
    EXPECT_EQ(report.spilled_vgprs, 3);
    EXPECT_EQ(report.fills, 4);
    EXPECT_EQ(report.spilled_sgprs, 2);
    EXPECT_EQ(report.vgprs, 160);
    EXPECT_EQ(report.local_bytes, 256);
    EXPECT_FALSE(report.waves_per_simd);
    EXPECT_FALSE(report.lds_bytes);
    EXPECT_FALSE(report.loop_valu);
    EXPECT_EQ(report.local_accesses, 2);
}

TEST(KernelReport, NamesOfAnvBecomeOurs) {
    // matmul_coopmat_s8_q4_k(512, 128, 128, 32, 32, ...) on a B580, Mesa 26.2.6.
    const std::vector<vk::KernelStatistic> anv = {{"Instructions", 2595},
                                                  {"Code size", 44768},
                                                  {"SENDs", 232},
                                                  {"Loops", 1},
                                                  {"Cycles", 190162},
                                                  {"Spills", 90},
                                                  {"Fills", 96},
                                                  {"Scratch Memory Size", 8192},
                                                  {"GRF registers", 0},
                                                  {"Push constant ranges", 0},
                                                  {"Push constant registers", 0},
                                                  {"Max dispatch width", 32},
                                                  {"Max live registers", 481},
                                                  {"Workgroup Memory Size", 22536},
                                                  {"Non SSA regs after NIR", 126}};
    const KernelReport report = make_kernel_report("a", anv, kAnv);
    EXPECT_EQ(report.instructions, 2595);
    EXPECT_EQ(report.latency, 190162);
    EXPECT_EQ(report.spilled_vgprs, 90);
    EXPECT_EQ(report.fills, 96);
    EXPECT_EQ(report.local_bytes, 8192);
    EXPECT_EQ(report.vgprs, 481);  // not "GRF registers", which is 0 everywhere
    EXPECT_EQ(report.subgroup_size, 32);
    EXPECT_EQ(report.lds_bytes, 22536);
    EXPECT_EQ(report.vmem, 232);
    EXPECT_FALSE(report.max_warps);
}

TEST(KernelReport, JsonHasEveryFieldAndNullWhereNothingIsSaid) {
    const auto json = to_json(make_kernel_report("add(64)", {}, ""));
    EXPECT_EQ(json.at("name"), "add(64)");
    for (const char* field :
         {"sgprs", "vgprs", "spilled_sgprs", "spilled_vgprs", "fills", "local_bytes", "local_accesses", "lds_bytes",
          "waves_per_simd", "max_warps", "subgroup_size", "instructions", "valu", "vmem", "latency",
          "inverse_throughput", "matrix_instructions", "dot_instructions", "wide_loads"}) {
        EXPECT_TRUE(json.at(field).is_null()) << field;
    }
    const std::vector<vk::KernelStatistic> some = {{"VGPRs", 48}, {"Inverse Throughput", 2.5}};
    const auto filled = to_json(make_kernel_report("add(64)", some, "nothing"));
    EXPECT_EQ(filled.at("vgprs").dump(), "48");
    EXPECT_EQ(filled.at("inverse_throughput").dump(), "2.5");
    EXPECT_EQ(filled.at("dot_instructions").dump(), "0");
}

TEST(KernelReport, TheTableHasALineForEachKernel) {
    const std::vector<KernelReport> reports = {make_kernel_report("a", {}, ""),
                                               make_kernel_report("a_long_name(64, 32)", {}, "")};
    const std::string text = table_text(reports);
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
    EXPECT_NE(text.find("a_long_name(64, 32)"), std::string::npos);
    EXPECT_EQ(text.find("VGPR"), std::string::npos);  // of what the driver does not say there is no column
    const std::vector<KernelReport> some = {
        make_kernel_report("a", {}, ""), make_kernel_report("b", std::vector<vk::KernelStatistic>{{"VGPRs", 48}}, "")};
    EXPECT_NE(table_text(some).find("VGPR"), std::string::npos);
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
            for (const MatmulVariant& variant :
                 matmul_candidates(card(), {static_cast<Format>(i), 4096, 4096, n_tokens, layout})) {
                EXPECT_TRUE(has(variant.family, static_cast<Format>(i), variant.constants))
                    << variant.name() << " x " << n_tokens;
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
