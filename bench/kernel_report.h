#pragma once
// What the driver's compiler made of a kernel, under the same names for every driver.

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/vk/kernel.h"

namespace atlas::bench {

/// Counts of instructions in an assembly text.
struct InstructionCounts {
    uint32_t matrix = 0;      // cooperative-matrix products
    uint32_t dot = 0;         // four 8-bit products and their sum
    uint32_t wide_loads = 0;  // 128-bit loads of a lane from memory
    uint32_t local_accesses =
        0;  // loads and stores of what found no register: spills, and arrays that are indexed at run time
    uint32_t loop_valu =
        0;  // vector arithmetic in the longest loop that holds no other: what is done per pass over the weights
};

/// Reads what Mesa prints for AMD, NVIDIA and Intel, and NVIDIA's own disassembly. Unknown text counts nothing.
InstructionCounts count_instructions(std::string_view assembly);

/// Nothing where the driver does not say.
struct KernelReport {
    std::string name;  // "matvec_q4_k(64, 32, 1)", then "/sg64" where the pipeline must have subgroups of 64
    std::optional<double> sgprs, vgprs, spilled_sgprs, spilled_vgprs, fills, local_bytes, lds_bytes;
    std::optional<double> waves_per_simd, max_warps;  // that the registers allow: per SIMD (AMD), per SM (NVIDIA)
    std::optional<double> subgroup_size;
    std::optional<double> instructions, valu, vmem, latency, inverse_throughput;
    std::optional<double> matrix_instructions, dot_instructions, wide_loads, local_accesses, loop_valu;
};

/// `assembly` empty: the driver shows none.
KernelReport make_kernel_report(std::string name, std::span<const vk::KernelStatistic> statistics,
                                std::string_view assembly);

nlohmann::ordered_json to_json(const KernelReport& report);
/// A table for people, one line per kernel.
std::string table_text(std::span<const KernelReport> reports);

/// The name of a kernel in reports.
std::string report_name(const vk::KernelSpec& spec);

}  // namespace atlas::bench
