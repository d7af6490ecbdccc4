#include "bench/kernel_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>

namespace atlas::bench {

namespace {

using Field = std::optional<double> KernelReport::*;

struct Column {
    Field field;
    std::string_view json;
    std::string_view title;
    std::vector<std::string_view> driver_names;  // what drivers call it; empty: counted by us
};

// The first name that a driver uses counts: RADV's, then NVK's, then ANV's, then those of others.
const std::vector<Column>& columns() {
    static const std::vector<Column> kColumns = {
        {&KernelReport::sgprs, "sgprs", "SGPR", {"SGPRs"}},
        {&KernelReport::vgprs, "vgprs", "VGPR", {"VGPRs", "Number of GPRs", "Max live registers", "Register Count"}},
        {&KernelReport::spilled_sgprs, "spilled_sgprs", "spS", {"Spilled SGPRs", "Spills to reg"}},
        {&KernelReport::spilled_vgprs,
         "spilled_vgprs",
         "spV",
         {"Spilled VGPRs", "Spills to memory", "Spills", "Spill count", "Spill Count"}},
        {&KernelReport::fills, "fills", "fills", {"Fills from memory", "Fills"}},
        {&KernelReport::local_bytes, "local_bytes", "local", {"Scratch size", "SLM size", "Scratch Memory Size"}},
        {&KernelReport::lds_bytes,
         "lds_bytes",
         "LDS",
         {"LDS size", "LDS Size", "Shared Memory Size", "Workgroup Memory Size"}},
        {&KernelReport::waves_per_simd, "waves_per_simd", "waves", {"Subgroups per SIMD"}},
        {&KernelReport::max_warps, "max_warps", "warps", {"Max warps/SM"}},
        {&KernelReport::subgroup_size, "subgroup_size", "width", {"Subgroup size", "Max dispatch width"}},
        {&KernelReport::instructions,
         "instructions",
         "instr",
         {"Instructions", "Instruction count", "Instruction Count"}},
        {&KernelReport::valu, "valu", "VALU", {"VALU"}},
        {&KernelReport::vmem, "vmem", "VMEM", {"VMEM", "SENDs", "SEND Count"}},
        {&KernelReport::latency, "latency", "latency", {"Latency", "Static cycle count", "Cycles", "Cycle Count"}},
        {&KernelReport::inverse_throughput, "inverse_throughput", "1/thru", {"Inverse Throughput"}},
        {&KernelReport::matrix_instructions, "matrix_instructions", "matrix", {}},
        {&KernelReport::dot_instructions, "dot_instructions", "dot", {}},
        {&KernelReport::wide_loads, "wide_loads", "ld128", {}},
        {&KernelReport::local_accesses, "local_accesses", "ldlocal", {}},
        {&KernelReport::loop_valu, "loop_valu", "loopVALU", {}},
    };
    return kColumns;
}

/// The instruction of a line: its first word that is no address, predicate or comment. Empty for labels.
std::string_view mnemonic_of(std::string_view line) {
    line = line.substr(0, line.find("//"));
    // NAK writes "r0..4 = hmma.m16n8k16.f32 ..": what comes before are the results.
    if (const size_t assigned = line.find(" = "); assigned != std::string_view::npos) line.remove_prefix(assigned + 3);
    while (!line.empty()) {
        const size_t start = line.find_first_not_of(" \t");
        if (start == std::string_view::npos) return {};
        line.remove_prefix(start);
        // Predicates: "@P0" of NVIDIA, "(W)" and "(f0.0)" of Intel; addresses: "/*0090*/".
        const bool in_brackets = line.starts_with("(");
        const size_t end = in_brackets ? line.find(')') : line.find_first_of(" \t");
        std::string_view word = line.substr(0, in_brackets && end != std::string_view::npos ? end + 1 : end);
        line.remove_prefix(word.size());
        if (in_brackets || word.starts_with("@") || (word.starts_with("/*") && word.ends_with("*/"))) continue;
        if (word.starts_with(";") || word.starts_with("}") || word.ends_with(":") || word.starts_with("block"))
            return {};
        if (word.ends_with(";")) word.remove_suffix(1);
        return word;
    }
    return {};
}

bool starts_with_any(std::string_view word, std::initializer_list<std::string_view> starts) {
    return std::any_of(starts.begin(), starts.end(), [&](std::string_view s) { return word.starts_with(s); });
}

// Spellings of AMD (ACO), of NVIDIA (its own disassembler in capitals, Mesa's NAK in small letters), of Intel (Mesa's
// brw).
bool is_matrix(std::string_view m) {
    return starts_with_any(
        m, {"v_wmma", "v_swmmac", "v_mfma", "HMMA", "IMMA", "QGMMA", "HGMMA", "IGMMA", "hmma", "imma", "dpas"});
}
bool is_dot(std::string_view m) { return starts_with_any(m, {"v_dot4", "v_dual_dot4", "IDP", "idp4", "dp4a"}); }
bool is_wide_load(std::string_view m, std::string_view line) {
    const auto has = [&](std::string_view text) { return line.find(text) != std::string_view::npos; };
    if (starts_with_any(m, {"buffer_load_b128", "global_load_b128", "flat_load_b128", "buffer_load_dwordx4",
                            "global_load_dwordx4"}))
        return true;
    if (starts_with_any(m, {"LDG.", "LD."})) return has(".128");
    if (m.starts_with("ld.global")) return m.find(".b128") != std::string_view::npos;
    // What a message does stands in its comment. "x4t" is one load for the whole subgroup.
    return m.starts_with("send") && has("load.ugm.d32x4.");
}
bool is_local_access(std::string_view m) {
    return starts_with_any(m, {"scratch_load", "scratch_store", "LDL", "STL", "ld.local", "st.local"});
}
bool is_vector_arithmetic(std::string_view m) { return m.starts_with("v_"); }

struct Line {
    std::string_view label;   // "BB3" where a block starts here
    std::string_view target;  // "BB3" of a branch
    bool valu = false;
};

/// The label a line defines ("BB3:") or jumps to ("s_cbranch_scc1 BB3"), as Mesa prints them.
Line read_line(std::string_view line, std::string_view mnemonic) {
    Line read;
    read.valu = is_vector_arithmetic(mnemonic);
    const size_t block = line.find("BB");
    if (block == std::string_view::npos) return read;
    const std::string_view name = line.substr(block, line.find_first_not_of("0123456789", block + 2) - block);
    if (mnemonic.empty())
        read.label = name;
    else if (mnemonic.find("branch") != std::string_view::npos)
        read.target = name;
    return read;
}

/// A jump back closes a loop. Of the loops without another loop inside, the most vector arithmetic.
uint32_t longest_inner_loop(const std::vector<Line>& lines) {
    std::map<std::string_view, size_t> labels;
    std::vector<std::pair<size_t, size_t>> loops;
    for (size_t i = 0; i < lines.size(); ++i) {
        if (!lines[i].label.empty()) labels[lines[i].label] = i;
        const auto target = labels.find(lines[i].target);
        if (!lines[i].target.empty() && target != labels.end()) loops.emplace_back(target->second, i);
    }
    uint32_t most = 0;
    for (const auto& [first, last] : loops) {
        const bool has_inner = std::any_of(loops.begin(), loops.end(), [first = first, last = last](const auto& other) {
            return other.first > first && other.second < last;
        });
        if (has_inner) continue;
        const auto begin = lines.begin() + std::ptrdiff_t(first), end = lines.begin() + std::ptrdiff_t(last);
        most = std::max(most, uint32_t(std::count_if(begin, end, [](const Line& l) { return l.valu; })));
    }
    return most;
}

std::string cell(const std::optional<double>& value) { return value ? fmt::format("{:.0f}", *value) : "-"; }

}  // namespace

InstructionCounts count_instructions(std::string_view assembly) {
    InstructionCounts counts;
    std::vector<Line> lines;
    for (size_t at = 0; at < assembly.size();) {
        const size_t end = std::min(assembly.find('\n', at), assembly.size());
        const std::string_view line = assembly.substr(at, end - at);
        at = end + 1;
        const std::string_view mnemonic = mnemonic_of(line);
        counts.matrix += is_matrix(mnemonic);
        counts.dot += is_dot(mnemonic);
        counts.wide_loads += is_wide_load(mnemonic, line);
        counts.local_accesses += is_local_access(mnemonic);
        lines.push_back(read_line(line, mnemonic));
    }
    counts.loop_valu = longest_inner_loop(lines);
    return counts;
}

KernelReport make_kernel_report(std::string name, std::span<const vk::KernelStatistic> statistics,
                                std::string_view assembly) {
    KernelReport report;
    report.name = std::move(name);
    for (const Column& column : columns()) {
        for (const std::string_view wanted : column.driver_names) {
            for (const vk::KernelStatistic& statistic : statistics) {
                if (statistic.name == wanted && !(report.*column.field)) report.*column.field = statistic.value;
            }
        }
    }
    if (!assembly.empty()) {
        const InstructionCounts counts = count_instructions(assembly);
        report.matrix_instructions = counts.matrix;
        report.dot_instructions = counts.dot;
        report.wide_loads = counts.wide_loads;
        report.local_accesses = counts.local_accesses;
        if (assembly.find("v_") != std::string_view::npos)
            report.loop_valu = counts.loop_valu;  // recognised only in AMD's assembly
    }
    return report;
}

nlohmann::ordered_json to_json(const KernelReport& report) {
    nlohmann::ordered_json json = {{"name", report.name}};
    for (const Column& column : columns()) {
        const std::optional<double>& value = report.*column.field;
        json[std::string(column.json)] = value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
        // Counts are whole numbers; JSON should show them so.
        if (value && *value == double(int64_t(*value))) json[std::string(column.json)] = int64_t(*value);
    }
    return json;
}

std::string table_text(std::span<const KernelReport> reports) {
    size_t name_width = 6;
    for (const KernelReport& report : reports) name_width = std::max(name_width, report.name.size());
    std::vector<Column> told;  // the columns that the driver reports for any kernel
    std::copy_if(columns().begin(), columns().end(), std::back_inserter(told), [&](const Column& column) {
        return std::any_of(reports.begin(), reports.end(),
                           [&](const KernelReport& report) { return (report.*column.field).has_value(); });
    });
    std::string text = fmt::format("{:<{}}", "kernel", name_width);
    for (const Column& column : told) text += fmt::format(" {:>8}", column.title);
    text += '\n';
    for (const KernelReport& report : reports) {
        text += fmt::format("{:<{}}", report.name, name_width);
        for (const Column& column : told) text += fmt::format(" {:>8}", cell(report.*column.field));
        text += '\n';
    }
    return text;
}

std::string report_name(const vk::KernelSpec& spec) {
    std::string name(spec.name);
    if (!spec.spec_constants.empty()) name += fmt::format("({})", fmt::join(spec.spec_constants, ", "));
    if (spec.required_subgroup_size != 0) name += fmt::format("/sg{}", spec.required_subgroup_size);
    return name;
}

}  // namespace atlas::bench
