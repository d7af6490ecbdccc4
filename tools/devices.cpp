// atlas-vk devices: what Vulkan devices there are, what they can do, and which one would be used and why.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "build_features.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/vk/device.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/quirks.h"
#include "runtime/vk/slab_size.h"
#include "tools/fit_columns.h"
#include "tools/messages.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

using nlohmann::ordered_json;

struct DevicesFlags {
    std::string device;
    bool json = false;
    bool validate = false;
};

/// A device and whether it can be used.
struct Row {
    const vk::DeviceEntry* entry = nullptr;
    vk::Quirks quirks;
    vk::MainHeap main;
    vk::HeapState memory;
    std::string opening;  // with --validate: what went wrong when it was opened
};

Row row_of(const vk::DeviceEntry& entry) {
    Row row{.entry = &entry,
            .quirks = vk::quirks_for(entry.caps),
            .main = vk::main_heap(entry.caps),
            .memory = {},
            .opening = {}};
    if (row.main.found)
        row.memory = vk::heap_state(entry.caps.heaps[row.main.index], 0, row.quirks, std::nullopt, true);
    return row;
}

std::string coopmat_text(const vk::DeviceCaps& caps) {
    std::string text;
    for (const auto& shape : caps.coopmat_shapes) {
        if (!shape.subgroup_scope || shape.saturating) continue;
        const std::string one = fmt::format("{}x{}x{} {}*{}+{}", shape.m, shape.n, shape.k, name_of(shape.a),
                                            name_of(shape.b), name_of(shape.c));
        if (text.find(one) == std::string::npos) text += (text.empty() ? "" : ", ") + one;
    }
    return text.empty() ? "no" : text;
}

std::string features_text(const vk::DeviceCaps& caps) {
    std::string there, missing;
    auto add = [&](bool has, std::string_view name) {
        std::string& list = has ? there : missing;
        list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
    };
    add(caps.fp16, "fp16");
    add(caps.int8, "int8");
    add(caps.int16, "int16");
    add(caps.int64, "int64");
    add(caps.storage_16bit, "16-bit storage");
    add(caps.storage_8bit, "8-bit storage");
    add(caps.integer_dot_accelerated, "fast 8-bit dot");
    add(caps.bf16, "bf16 matrices");
    add(caps.subgroup_size_control, "subgroup size control");
    add(caps.memory_budget, "memory budget");
    add(caps.timestamp_valid_bits > 0, "timestamps");
    return missing.empty() ? there : fmt::format("{}; not: {}", there, missing);
}

std::string coopmat2_text(const vk::CoopMat2Caps& caps) {
    std::string text;
    auto add = [&](bool has, std::string_view name) {
        if (has) text += fmt::format("{}{}", text.empty() ? "" : ", ", name);
    };
    add(caps.workgroup_scope, "workgroup scope");
    add(caps.flexible_dimensions, "flexible dimensions");
    add(caps.reductions, "reductions");
    add(caps.conversions, "conversions");
    add(caps.per_element_operations, "per-element operations");
    add(caps.tensor_addressing, "tensor addressing");
    add(caps.block_loads, "block loads");
    return text;
}

void print_row(size_t index, const Row& row, const vk::DeviceChoice* choice) {
    const vk::DeviceCaps& caps = row.entry->caps;
    const bool chosen = choice && choice->index == index;
    print_fitted(fmt::format("{}: {}{}\n", index, printable(caps.name, 256),
                             chosen ? fmt::format("   <- used: {}", printable(choice->reason, 1000)) : ""));
    auto line = [](std::string_view name, std::string_view text) {
        print_fitted(fmt::format("   {:<10} {}\n", name, printable(text, 4000)));
    };
    if (!row.entry->rejection.empty()) line("rejected", row.entry->rejection);
    line("type", fmt::format("{}, Vulkan {}, driver {}", name_of(caps.type), caps.api_string(), caps.driver_line()));
    line("uuid", caps.uuid_string());
    if (row.main.found) {
        line("memory", fmt::format("{}, {} for us, {} in use{}", bytes_text(row.memory.total_bytes),
                                   bytes_text(row.memory.budget_bytes), bytes_text(row.memory.used_bytes),
                                   row.main.host_visible ? ", mapped: uploads need no staging"
                                                         : ", filled through a staging ring"));
    } else {
        line("memory", "none");
    }
    line("limits",
         fmt::format("{} a binding, {} an allocation, {} shared memory, workgroups of {}, subgroups of {} ({} to {})",
                     bytes_text(caps.max_storage_buffer_range), bytes_text(row.quirks.max_slab_bytes),
                     bytes_text(caps.max_shared_bytes), caps.max_workgroup_invocations, caps.subgroup_size,
                     caps.min_subgroup_size, caps.max_subgroup_size));
    line("features", features_text(caps));
    line("matrices", coopmat_text(caps));
    if (const std::string second = coopmat2_text(caps.coopmat2); !second.empty()) line("matrices 2", second);
    if (row.quirks.slow) line("note", "a software device: results are right, but it is slow");
    for (const std::string& note : row.quirks.notes) line("note", note);
    if (!row.opening.empty()) line("validation", row.opening);
}

ordered_json features_json(const vk::DeviceCaps& caps) {
    return {{"fp16", caps.fp16},
            {"int8", caps.int8},
            {"int16", caps.int16},
            {"int64", caps.int64},
            {"storage_16bit", caps.storage_16bit},
            {"storage_8bit", caps.storage_8bit},
            {"scalar_block_layout", caps.scalar_block_layout},
            {"timeline_semaphore", caps.timeline_semaphore},
            {"integer_dot", caps.integer_dot},
            {"integer_dot_accelerated", caps.integer_dot_accelerated},
            {"bf16", caps.bf16},
            {"subgroup_size_control", caps.subgroup_size_control},
            {"subgroup_arithmetic", caps.subgroup_arithmetic},
            {"subgroup_shuffle", caps.subgroup_shuffle},
            {"buffer_device_address", caps.buffer_device_address},
            {"memory_budget", caps.memory_budget},
            {"external_memory_host", caps.external_memory_host},
            {"pipeline_executable_properties", caps.pipeline_executable_properties},
            {"cooperative_matrix", caps.coopmat},
            {"cooperative_matrix2",
             {{"workgroup_scope", caps.coopmat2.workgroup_scope},
              {"flexible_dimensions", caps.coopmat2.flexible_dimensions},
              {"reductions", caps.coopmat2.reductions},
              {"conversions", caps.coopmat2.conversions},
              {"per_element_operations", caps.coopmat2.per_element_operations},
              {"tensor_addressing", caps.coopmat2.tensor_addressing},
              {"block_loads", caps.coopmat2.block_loads}}}};
}

ordered_json limits_json(const Row& row) {
    const vk::DeviceCaps& caps = row.entry->caps;
    return {{"storage_buffer_range_bytes", caps.max_storage_buffer_range},
            {"allocation_bytes", row.quirks.max_slab_bytes},
            {"shared_bytes", caps.max_shared_bytes},
            {"compute_units", caps.compute_units},
            {"workgroup_invocations", caps.max_workgroup_invocations},
            {"push_constant_bytes", caps.max_push_bytes},
            {"subgroup_size",
             {{"default", caps.subgroup_size}, {"min", caps.min_subgroup_size}, {"max", caps.max_subgroup_size}}},
            {"timestamp_period_ns", caps.timestamp_period_ns},
            {"timestamp_valid_bits", caps.timestamp_valid_bits}};
}

ordered_json row_json(size_t index, const Row& row) {
    const vk::DeviceCaps& caps = row.entry->caps;
    ordered_json matrices = ordered_json::array();
    for (const auto& shape : caps.coopmat_shapes) {
        matrices.push_back({{"m", shape.m},
                            {"n", shape.n},
                            {"k", shape.k},
                            {"a", name_of(shape.a)},
                            {"b", name_of(shape.b)},
                            {"c", name_of(shape.c)},
                            {"result", name_of(shape.result)},
                            {"subgroup_scope", shape.subgroup_scope},
                            {"saturating", shape.saturating}});
    }
    ordered_json json = {
        {"index", index},
        {"name", caps.name},
        {"uuid", caps.uuid_string()},
        {"type", name_of(caps.type)},
        {"driver", caps.driver_name},
        {"driver_info", caps.driver_info},
        {"api", caps.api_string()},
        {"vendor_id", caps.vendor_id},
        {"device_id", caps.device_id},
        {"usable", row.entry->rejection.empty()},
        {"rejection", row.entry->rejection.empty() ? ordered_json() : ordered_json(row.entry->rejection)},
        {"slow", row.quirks.slow},
        {"memory",
         {{"total_bytes", row.memory.total_bytes},
          {"budget_bytes", row.memory.budget_bytes},
          {"used_bytes", row.memory.used_bytes},
          {"available_bytes", row.memory.available_bytes},
          {"mapped", row.main.host_visible},
          {"unified", caps.unified_memory}}},
        {"limits", limits_json(row)},
        {"features", features_json(caps)},
        {"cooperative_matrices", matrices},
        {"notes", row.quirks.notes}};
    if (!row.opening.empty()) json["validation"] = row.opening;
    return json;
}

/// Opens the device under the validation layers and returns their messages; empty if there are none.
std::string try_opening(const vk::Instance& instance, const vk::DeviceEntry& entry) {
    instance.messages().take();
    if (auto device = vk::Device::create(instance, entry); !device) return device.error().message;
    std::string said;
    for (const auto& message : instance.messages().take()) said += (said.empty() ? "" : "; ") + message.text;
    return said.empty() ? "opened and closed, no message" : said;
}

void print_missing_features() {
    for (const std::string_view feature : kMissingShaderFeatures) fmt::print("built without: {}\n", feature);
}

/// Prints everything. Fails if no device can run atlas-vk, or the requested one cannot.
Result<void> list(const DevicesFlags& flags) {
    ATLAS_TRY(const auto instance,
              vk::Instance::create({.validation = flags.validate, .sync_validation = flags.validate}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    std::vector<Row> rows;
    for (const auto& entry : entries) {
        caps.push_back(entry.caps);
        rows.push_back(row_of(entry));
        if (flags.validate && entry.rejection.empty()) rows.back().opening = try_opening(instance, entry);
    }
    const auto choice = vk::choose_device(caps, flags.device);
    if (flags.json) {
        ordered_json json = {{"devices", ordered_json::array()}, {"built_without", kMissingShaderFeatures}};
        for (size_t i = 0; i < rows.size(); ++i) json["devices"].push_back(row_json(i, rows[i]));
        json["used"] = choice ? ordered_json{{"index", choice->index}, {"reason", choice->reason}} : ordered_json();
        if (!choice) json["error"] = choice.error().message;
        fmt::print("{}\n", json_text(json, 2));
    } else {
        for (size_t i = 0; i < rows.size(); ++i) print_row(i, rows[i], choice ? &*choice : nullptr);
        print_missing_features();
    }
    if (!choice) return tl::unexpected(choice.error());
    return {};
}

}  // namespace

void add_devices(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<DevicesFlags>();
    CLI::App* command =
        app.add_subcommand("devices", "List the Vulkan devices, what they can do, and which one would be used and why");
    command->add_option("--device", flags->device, "Choose this device: an index, a UUID, or a part of the name")
        ->type_name("WISH");
    command->add_flag("--json", flags->json, "Print everything as JSON");
    command->add_flag("--validate", flags->validate,
                      "Open each device under the Vulkan validation layers and show their messages");
    command->callback([flags, &exit_code] {
        if (const auto listed = list(*flags); !listed) exit_code = print_error(listed.error());
    });
}

}  // namespace atlas::tools
