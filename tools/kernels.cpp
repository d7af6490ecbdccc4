// atlas-vk kernels: builds the kernels that a device would run and shows what its compiler made of them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/compile_kernels.h"
#include "bench/every_kernel.h"
#include "bench/model_shapes.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/vk/device_title.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

using nlohmann::ordered_json;

struct KernelsFlags {
    std::string device;
    std::string model, shape;
    std::string filter;
    bool json = false;
    bool assembly = false;
};

Result<std::vector<vk::KernelSpec>> wanted_kernels(const KernelsFlags& flags, const vk::DeviceCaps& caps) {
    bench::PlanBackend planner(caps);
    if (!flags.shape.empty()) {
        ATLAS_TRY(const auto model, bench::plan_shape(flags.shape, planner));
        ATLAS_TRY_VOID(bench::plan_model_kernels(*model, {}));
    } else if (!flags.model.empty()) {
        ATLAS_TRY(const auto path, find_model(flags.model));
        ATLAS_TRY(const auto model, bench::plan_model_file(path, planner));
        ATLAS_TRY_VOID(bench::plan_model_kernels(*model, {}));
    } else {
        ATLAS_TRY_VOID(bench::plan_every_kernel(planner, caps));
    }
    std::vector<vk::KernelSpec> wanted;
    for (const vk::KernelSpec& spec : planner.kernels()) {
        if (bench::report_name(spec).find(flags.filter) != std::string::npos) wanted.push_back(spec);
    }
    if (wanted.empty())
        return fail(ErrorCode::not_found, "no kernel has '{}' in its name; without --filter all are shown",
                    flags.filter);
    return wanted;
}

Result<void> report(const KernelsFlags& flags) {
    ATLAS_TRY(const bench::CompileDevice open, bench::open_compile_device(flags.device));
    const vk::DeviceCaps& caps = open.device->caps();
    if (!open.note.empty()) note("{} can compile kernels, not run them: {}", caps.name, open.note);
    ATLAS_TRY(const auto specs, wanted_kernels(flags, caps));
    ATLAS_TRY(const auto kernels, bench::compile_kernels(*open.device, specs));
    if (flags.json) {
        ordered_json json = {{"device", caps.name}, {"driver", caps.driver_line()}, {"kernels", ordered_json::array()}};
        for (const bench::CompiledKernel& kernel : kernels) json["kernels"].push_back(to_json(kernel.report));
        fmt::print("{}\n", json_text(json, 1));
        return {};
    }
    if (flags.assembly) {
        for (const bench::CompiledKernel& kernel : kernels) {
            fmt::print("==== {}\n{}\n", kernel.report.name,
                       kernel.assembly.empty() ? "(this driver shows no assembly)" : kernel.assembly);
        }
        return {};
    }
    std::vector<bench::KernelReport> reports;
    for (const bench::CompiledKernel& kernel : kernels) reports.push_back(kernel.report);
    print_fitted(fmt::format("{}: {}\n", printable(vk::device_title(caps), 512), count_of(kernels.size(), "kernel")));
    fmt::print("{}", bench::table_text(reports));
    if (!caps.pipeline_executable_properties) note("this driver says nothing about compiled kernels");
    return {};
}

}  // namespace

void add_kernels(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<KernelsFlags>();
    CLI::App* command =
        app.add_subcommand("kernels", "Build every kernel for a device and show what its compiler made of them");
    command->footer(
        "Works also on devices that can compile but not run. A dash: the driver does not say.\n"
        "Examples:\n  atlas-vk kernels\n  atlas-vk kernels --filter matvec_q4_k --assembly\n"
        "  atlas-vk kernels --json > kernels.json");
    command->add_option("--device", flags->device,
                        "Use this device: its index, a part of its name, or its UUID (see `atlas-vk devices`)");
    command->add_option("-m,--model", flags->model, "Show only the kernels of this model: a stored name or a path");
    command->add_option("--shape", flags->shape, "Show only the kernels of this shape, as qwen2.5-coder-7b:q4_k_m")
        ->check(shape_name(), "");
    command->add_option("--filter", flags->filter, "Show only kernels with this in their name");
    command->add_flag("--json", flags->json, "Print everything as JSON");
    command->add_flag("--assembly", flags->assembly, "Print the compiler's assembly instead of figures");
    command->callback([flags, &exit_code] {
        if (const auto done = report(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
