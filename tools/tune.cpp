// atlas-vk tune: finds the fastest kernels for a model on this device and keeps them.
#include "bench/tune.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "bench/model_shapes.h"
#include "runtime/base/atomic_file.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/kernels/select/kernel_choices_file.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/interactive_backend.h"
#include "tools/interrupt.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/environment.h"
#include "tools/output_file.h"
#include "tools/shape_flags.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct TuneFlags {
    std::string model, shape, device, json;
    bool force = false;
    bench::TuneOptions options;
};

Result<std::vector<MatmulShape>> wanted_shapes(const TuneFlags& flags, const vk::DeviceCaps& caps) {
    bench::PlanBackend nowhere(caps);
    if (!flags.shape.empty()) {
        ATLAS_TRY(const auto model, bench::plan_shape(flags.shape, nowhere));
        return bench::matrix_shapes(model->weights());
    }
    ATLAS_TRY(const auto path, find_model(flags.model));
    ATLAS_TRY(const auto model, bench::plan_model_file(path, nowhere));
    return bench::matrix_shapes(model->weights());
}

/// Adds the winners to the file of this device.
Result<std::filesystem::path> keep(const VkBackend& backend, const bench::TuneResult& result,
                                   const std::filesystem::path& folder) {
    const auto path = choices_file(folder, backend.caps());
    const ChoicesOwner owner = choices_owner(backend.caps());
    StoredChoices stored;
    if (auto known = read_choices(path, owner)) stored = std::move(*known);
    for (const auto& [key, winner] : result.choices.preferred) stored.choices.preferred[key] = winner;
    for (const std::string& wrong : result.choices.rejected) {
        stored.choices.rejected.insert(wrong);
        stored.tested.insert(wrong);
    }
    ATLAS_TRY_VOID(write_choices(path, owner, stored));
    return path;
}

// A line per product; on a terminal that is too narrow for that, its kernel has a line of its own.
void print_table(const bench::TuneResult& result) {
    constexpr size_t kColumns = 101;
    const bool is_narrow = output_columns() > 0 && output_columns() < kColumns;
    const auto print_row = [is_narrow](std::string_view product, std::string_view kernel, std::string_view us,
                                       std::string_view untuned, std::string_view gain) {
        const std::string figures = fmt::format("{:>10} {:>10} {:>7}", us, untuned, gain);
        if (is_narrow)
            fmt::print("{:<34} {}\n  {}\n", product, figures, kernel);
        else
            fmt::print("{:<34} {:<36} {}\n", product, kernel, figures);
    };
    print_row("product", "kernel", "us", "untuned", "gain");
    const auto microseconds = [](double seconds) {
        return seconds > 0 ? fmt::format("{:.1f}", seconds * 1e6) : std::string("-");
    };
    for (const bench::TunedProduct& p : result.products) {
        const bool known = p.first_draft_seconds > 0 && !p.winner.empty();
        print_row(tuning_key(p.shape), p.winner.empty() ? "(default)" : p.winner, microseconds(p.winner_seconds),
                  microseconds(p.first_draft_seconds),
                  known ? fmt::format("{:.2f}", p.first_draft_seconds / p.winner_seconds) : "-");
        for (const std::string& wrong : p.wrong) print_fitted(fmt::format("  wrong numbers here: {}\n", wrong));
    }
}

nlohmann::ordered_json to_json(const VkBackend& backend, const bench::TuneResult& result) {
    nlohmann::ordered_json products = nlohmann::ordered_json::array();
    for (const bench::TunedProduct& p : result.products) {
        products.push_back({{"product", tuning_key(p.shape)},
                            {"winner", p.winner},
                            {"seconds", p.winner_seconds},
                            {"untuned", p.first_draft},
                            {"untuned_seconds", p.first_draft_seconds},
                            {"wrong", p.wrong}});
    }
    return {{"schema", 1},
            {"device", backend.caps().name},
            {"driver", backend.caps().driver_line()},
            {"seconds", result.seconds},
            {"complete", result.complete},
            {"measured", result.n_measured},
            {"products", products}};
}

Result<void> check_json(const TuneFlags& flags) {
    if (flags.json.empty()) return {};
    std::vector<std::filesystem::path> inputs;
    if (!flags.model.empty()) {
        ATLAS_TRY(const auto path, find_model(flags.model));
        inputs = model_files(path);
    }
    return check_output(flags.json, inputs, flags.force);
}

Result<void> run_tune(TuneFlags& flags) {
    Interrupt interrupt;
    if (flags.model.empty() == flags.shape.empty())
        return fail(ErrorCode::invalid_argument, "give a model (-m) or a shape (--shape), one of the two");
    ATLAS_TRY_VOID(check_json(flags));
    flags.options.stop = interrupt.token();
    const bool terminal = isatty(STDERR_FILENO) != 0;
    flags.options.progress = [terminal](const std::string& what) {
        if (terminal) fmt::print(stderr, "\r\033[K{}", what);
    };
    VkBackendOptions options;
    make_interactive(options);
    options.device = flags.device;
    ATLAS_TRY(const UserDirs dirs, user_dirs(system_environment));
    options.pipeline_cache = dirs.cache / "pipelines";
    std::optional<Interrupt::AtOnce> nothing_to_lose(std::in_place);
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    nothing_to_lose.reset();
    ATLAS_TRY(const auto shapes, wanted_shapes(flags, backend->caps()));
    auto tuned = bench::tune(*backend, shapes, flags.options);
    if (terminal) fmt::print(stderr, "\r\033[K");
    ATLAS_TRY(const bench::TuneResult result, std::move(tuned));
    print_table(result);
    if (!flags.json.empty()) {
        ATLAS_TRY(AtomicFile file, AtomicFile::create(flags.json));
        ATLAS_TRY_VOID(file.write(json_text(to_json(*backend, result), 1) + "\n"));
        ATLAS_TRY_VOID(file.commit());
    }
    ATLAS_TRY(const auto path, keep(*backend, result, dirs.cache / "kernels"));
    note("{}: {} in {:.1f} s{}; kept in {}", backend->describe(), count_of(result.n_measured, "measurement"),
         result.seconds, result.complete ? "" : ", not complete: what is missing keeps its default", path.string());
    if (interrupt.requested()) return fail(ErrorCode::cancelled, "stopped; what was finished is kept");
    return {};
}

}  // namespace

void add_tune(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<TuneFlags>();
    CLI::App* command = app.add_subcommand(
        "tune", "Measure which kernels of matrix products are fastest for a model on this device, and keep the result");
    command->footer(
        "Takes under a minute; models with the same matrix shapes share the result. A new driver or another build "
        "starts anew.\n"
        "Examples:\n  atlas-vk tune -m smollm2-135m\n  atlas-vk tune --shape qwen2.5-coder-7b:q4_k_m");
    add_shape_flags(*command, flags->model, flags->shape, flags->device);
    command->add_option("--seconds", flags->options.seconds, "Spend at most this many seconds")
        ->check(number(1, 3600), "")
        ->capture_default_str();
    command->add_flag("--allow-int8", flags->options.allow_int8,
                      "Try also kernels that round activations to 8 bits for few tokens: faster on some cards, and a "
                      "little less exact");
    command->add_option("--json", flags->json, "Write what was measured to this file");
    command->add_flag("--force", flags->force, "Replace the file of --json if it exists");
    command->callback([flags, &exit_code] {
        if (const auto done = run_tune(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
