// atlas-vk quantize: writes a model again in a smaller storage format, tensor by tensor.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "quant/convert.h"
#include "quant/recipe.h"
#include "runtime/base/units.h"
#include "runtime/gguf/reader.h"
#include "runtime/gguf/writer.h"
#include "tools/importance.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct QuantizeFlags {
    std::string in;
    std::string out;
    std::string recipe;
    std::string importance;
    uint32_t n_threads = std::max(std::thread::hardware_concurrency(), 1u);
    bool dry_run = false;
    bool requantize = false;
    bool force = false;
    bool quiet = false;
};

struct PlannedTensor {
    const gguf::TensorInfo* tensor;
    Format to;
    std::span<const float> importance;  // [matrices, columns], or empty
};

struct Plan {
    std::vector<PlannedTensor> tensors;
    uint64_t in_bytes = 0;
    uint64_t out_bytes = 0;
    uint64_t n_elems = 0;
};

uint64_t elems_of(const gguf::TensorInfo& tensor) {
    uint64_t elems = 1;
    for (const uint64_t extent : tensor.shape) elems *= extent;
    return elems;
}

// A count that some files give per layer; the first layer that has any.
uint32_t first_count(const gguf::File& file, const std::string& key, uint32_t fallback) {
    const auto counts = file.integers(key);
    if (!counts) return fallback;
    for (const int64_t count : *counts) {
        if (count > 0) return static_cast<uint32_t>(count);
    }
    return fallback;
}

Result<MixModel> model_of(const gguf::File& file, bool has_importance) {
    ATLAS_TRY(const std::string_view arch_view, file.string("general.architecture"));
    const std::string arch(arch_view);
    MixModel model;
    ATLAS_TRY(model.n_layer, file.u32(arch + ".block_count"));
    const uint32_t n_head = first_count(file, arch + ".attention.head_count", 1);
    model.n_gqa = n_head / first_count(file, arch + ".attention.head_count_kv", n_head);
    model.n_expert = file.u32_or(arch + ".expert_count", 0);
    model.tied_output = file.find_tensor("output.weight") == nullptr;
    model.has_importance = has_importance;
    return model;
}

Result<std::span<const float>> importance_of(const Importance& importance, const gguf::TensorInfo& tensor) {
    const auto found = importance.find(tensor.name);
    if (found == importance.end()) return std::span<const float>();
    const uint64_t columns = tensor.shape.back(), matrices = found->second.size() / columns;
    const uint64_t rows = elems_of(tensor) / columns;
    if (matrices == 0 || found->second.size() % columns != 0 || rows % matrices != 0) {
        return fail(ErrorCode::invalid_argument, "the importance matrix has {} values for {}, which has rows of {}",
                    found->second.size(), tensor.name, columns);
    }
    return std::span<const float>(found->second);
}

Result<Plan> make_plan(const gguf::File& file, const Recipe& recipe, const Importance& importance, bool requantize) {
    ATLAS_TRY(const MixModel model, model_of(file, !importance.empty()));
    Plan plan;
    for (const gguf::TensorInfo& tensor : file.tensors()) {
        if (!tensor.format) {
            return fail(ErrorCode::unsupported, "tensor {} has storage type {}, which this version cannot read", tensor.name,
                        tensor.gguf_type);
        }
        const Format to = format_in(recipe, model, tensor.name, tensor.shape).value_or(*tensor.format);
        if (info(*tensor.format).block_elems > 1 && to != *tensor.format && !requantize) {
            return fail(ErrorCode::invalid_argument,
                        "tensor {} is {} already: quantizing it to {} loses more than from the original model. Use the F16 or BF16 "
                        "file, or say --requantize",
                        tensor.name, info(*tensor.format).name, info(to).name);
        }
        ATLAS_TRY(const auto weights, importance_of(importance, tensor));
        plan.tensors.push_back({&tensor, to, weights});
        plan.in_bytes += tensor.bytes;
        plan.out_bytes += bytes_of(to, elems_of(tensor));
        plan.n_elems += elems_of(tensor);
    }
    return plan;
}

void print_tensor(const Plan& plan, size_t at) {
    const auto& [tensor, to, importance] = plan.tensors[at];
    const char* note = importance.empty() || to == *tensor->format ? "" : "  (weighted)";
    fmt::print(stderr, "[{:4}/{}] {:36} {:>6} -> {:6} {:>9}{}\n", at + 1, plan.tensors.size(), tensor->name,
               info(*tensor->format).name, info(to).name, bytes_text(bytes_of(to, elems_of(*tensor))), note);
}

// The keys of the source, less those that said how that one was stored.
void copy_keys(const gguf::File& file, const Recipe& recipe, gguf::Writer& writer) {
    constexpr uint32_t kQuantizationVersion = 2;  // of the block layouts, all these years
    for (const gguf::KeyValue& key_value : file.key_values()) {
        if (key_value.key == "general.file_type" || key_value.key == "general.quantization_version" ||
            key_value.key.starts_with("split.")) {
            continue;
        }
        writer.add(key_value);
    }
    writer.add("general.file_type", recipe.file_type);
    writer.add("general.quantization_version", kQuantizationVersion);
}

// Written under another name first: only at the end is it known that every weight was a number.
Result<void> write_model(const gguf::File& file, const Recipe& recipe, const Plan& plan, const QuantizeFlags& flags) {
    gguf::Writer writer;
    copy_keys(file, recipe, writer);
    std::string first_bad;
    for (size_t at = 0; at < plan.tensors.size(); ++at) {
        const auto& [tensor, to, importance] = plan.tensors[at];
        writer.add_tensor(tensor->name, tensor->shape, to, [&, at](std::span<std::byte> out) {
            const PlannedTensor& planned = plan.tensors[at];
            if (!flags.quiet) print_tensor(plan, at);
            const uint64_t bad_rows = convert_rows({*planned.tensor->format, planned.to, planned.tensor->shape.back(),
                                                    file.data(*planned.tensor), out, planned.importance, flags.n_threads});
            if (bad_rows > 0 && first_bad.empty()) {
                first_bad = fmt::format("{}: {} of its rows hold a NaN or an infinity", planned.tensor->name, bad_rows);
            }
            file.release(*planned.tensor, 0, planned.tensor->bytes);
        });
    }
    const std::filesystem::path draft = flags.out + ".draft";
    ATLAS_TRY_VOID(writer.write(draft));
    std::error_code error;
    if (!first_bad.empty()) {
        std::filesystem::remove(draft, error);
        return fail(ErrorCode::corrupt, "{}: the source file is damaged; nothing was written", first_bad);
    }
    std::filesystem::rename(draft, flags.out, error);
    if (error) return fail(ErrorCode::io, "cannot rename {} to {}: {}", draft.string(), flags.out, error.message());
    return {};
}

Result<void> quantize(const QuantizeFlags& flags) {
    const auto start = std::chrono::steady_clock::now();
    const Recipe* recipe = find_recipe(flags.recipe);  // the flag's check has seen it
    ATLAS_TRY(const auto path, find_model(flags.in));
    ATLAS_TRY(const auto file, gguf::File::open(path));
    std::error_code error;
    if (!flags.dry_run && std::filesystem::exists(flags.out, error)) {
        if (std::filesystem::equivalent(flags.in, flags.out, error)) {
            return fail(ErrorCode::invalid_argument, "{} is the source itself: give another name", flags.out);
        }
        if (!flags.force) return fail(ErrorCode::invalid_argument, "{} exists: give another name, or --force", flags.out);
    }
    Importance importance;
    if (!flags.importance.empty()) {
        ATLAS_TRY(importance, read_importance(flags.importance));
    }
    ATLAS_TRY(const Plan plan, make_plan(file, *recipe, importance, flags.requantize));
    if (flags.dry_run) {
        for (size_t at = 0; at < plan.tensors.size() && !flags.quiet; ++at) print_tensor(plan, at);
    } else {
        ATLAS_TRY_VOID(write_model(file, *recipe, plan, flags));
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{}: {} weights, tensors {} -> {} ({:.2f} bits per weight){}\n", recipe->name, count_text(plan.n_elems),
               bytes_text(plan.in_bytes), bytes_text(plan.out_bytes),
               8.0 * static_cast<double>(plan.out_bytes) / static_cast<double>(std::max<uint64_t>(plan.n_elems, 1)),
               flags.dry_run ? ", nothing written" : ", " + duration_text(seconds));
    return {};
}

std::string check_recipe(const std::string& name) {
    if (find_recipe(name) != nullptr) return "";
    std::string known;
    for (const Recipe& recipe : recipes()) known += fmt::format(" {}", recipe.name);
    return fmt::format("unknown recipe {}; known are{}", name, known);
}

}  // namespace

void add_quantize(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<QuantizeFlags>();
    CLI::App* command = app.add_subcommand("quantize", "Write a model again in a smaller storage format");
    command->add_option("IN", flags->in, "The model: a GGUF file (F32, F16 or BF16), or the first part of a split one")
        ->required()->type_name("FILE");
    command->add_option("OUT", flags->out, "The file to write")->required()->type_name("FILE");
    command->add_option("RECIPE", flags->recipe, "Which formats: Q4_K_M is the usual choice, Q5_K_M and Q6_K are closer to the "
                        "original, Q8_0 is nearly lossless, Q3_K_M and Q2_K are for when nothing else fits")
        ->required()->check(check_recipe)->type_name("NAME");
    command->add_option("--importance", flags->importance, "A GGUF file of llama-imatrix: how much each column matters")->type_name("FILE");
    command->add_option("--threads", flags->n_threads, "How many threads work")->check(CLI::Range(1, 1024))->capture_default_str();
    command->add_flag("--dry-run", flags->dry_run, "Only say what every tensor would become, and the size");
    command->add_flag("--requantize", flags->requantize, "Also convert tensors that are quantized already");
    command->add_flag("--force", flags->force, "Replace OUT if it exists");
    command->add_flag("--quiet", flags->quiet, "Print the last line only");
    command->callback([flags, &exit_code] {
        if (const auto done = quantize(*flags); !done) exit_code = print_error(done.error());
    });
}

}  // namespace atlas::tools
