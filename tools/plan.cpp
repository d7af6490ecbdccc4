// atlas-vk plan: which model, at which quantization, with how much context, and how fast, on this machine's card or on any other.
#include "tools/plan.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/planner/file_shape.h"
#include "runtime/vk/instance.h"
#include "runtime/vk/quirks.h"
#include "runtime/vk/slab_size.h"
#include "tools/calibrate.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/catalogue.h"
#include "tools/models/environment.h"
#include "tools/open_model.h"
#include "tools/subcommands.h"

namespace atlas::tools {
namespace {

struct PlanFlags {
    std::string card, vram, device, model, file, quant, context, kv, draft = "auto", keep_free, purpose = "coding", size_of;
    uint32_t n_sequences = 1;
    uint32_t n_choices = 5;
    bool json = false, all = false, importance = false, measure = false, no_measure = false;
    PlanPrices prices;
};

constexpr uint64_t kSmallestCard = 256 * kMiB;

// What a desktop, the driver and our own safety need of a card that is not here: 3 %, at least half a GiB, and never less than a driver keeps.
uint64_t reserve_of(const Card& card) {
    const auto kept = static_cast<uint64_t>(double(card.memory_bytes) * (1 - card.budget_share));
    return std::max({kGiB / 2, card.memory_bytes * 3 / 100, kept});
}

struct Chosen {
    PlanTarget target;
    SpeedFactors speed;
};

Chosen of_card(const Catalogue& catalogue, const Card& card) {
    const uint64_t reserve = reserve_of(card);
    return {{card.name, card.memory_bytes, card.memory_bytes - std::min(reserve, card.memory_bytes), card.watts, fmt::format("{} kept for desktop and driver", bytes_text(reserve)), UINT64_MAX},
            factors_of(catalogue, card)};
}

Result<Chosen> of_vram(const Catalogue& catalogue, const std::string& text) {
    ATLAS_TRY(const uint64_t bytes, parse_bytes(text));
    if (bytes < kSmallestCard) {
        return fail(ErrorCode::invalid_argument, "--vram {}: {} is no card's memory; expected something like 12G", text, bytes_text(bytes));
    }
    Card card;
    card.name = fmt::format("a card of {}", bytes_text(bytes));
    card.memory_bytes = bytes;
    uint64_t largest = 0;
    for (const Card& known : catalogue.cards) largest = std::max(largest, known.memory_bytes);
    // The slowest card of the catalogue with so much memory (or as much as any has): a promise that any such card keeps.
    for (const Card& known : catalogue.cards) {
        if (known.memory_bytes + kGiB / 2 < std::min(bytes, largest)) continue;
        if (card.bandwidth_gbps == 0 || known.bandwidth_gbps < card.bandwidth_gbps) {
            card.bandwidth_gbps = known.bandwidth_gbps;
            card.matrix_tflops = known.matrix_tflops;
            card.vendor = known.vendor;
            card.budget_share = known.budget_share;
            card.arch = known.arch;
        }
    }
    Chosen chosen = of_card(catalogue, card);
    chosen.speed.source = fmt::format("the slowest card of the catalogue with {} memory; {}", bytes > largest ? "the most" : "so much", chosen.speed.source);
    return chosen;
}

// Factors of this very device: kept ones, or measured now and kept.
Result<SpeedFactors> measured_factors(const vk::DeviceCaps& device, const std::string& wish, const std::filesystem::path& kept, bool again) {
    const std::string key = calibration_key(device);
    if (!again) {
        if (const auto factors = read_calibration(kept, key)) return *factors;
    }
    note("measuring this device once ...");
    VkBackendOptions options;
    options.device = wish;
    if (!kept.empty()) options.pipeline_cache = kept.parent_path() / "pipelines";  // what is compiled here need not be again
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    const auto start = std::chrono::steady_clock::now();
    ATLAS_TRY(const SpeedFactors factors, calibrate(*backend));
    note("measured in {:.1f} s; kept in {}", std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), kept.string());
    if (const auto done = keep_calibration(kept, key, factors); !done) note("{}", done.error().message);
    return factors;
}

Result<Chosen> of_this_machine(const Catalogue& catalogue, const PlanFlags& flags, const std::filesystem::path& kept) {
    const std::string& wish = flags.device;
    ATLAS_TRY(const auto instance, vk::Instance::create({}));
    ATLAS_TRY(const auto entries, instance.devices());
    std::vector<vk::DeviceCaps> caps;
    for (const vk::DeviceEntry& entry : entries) caps.push_back(entry.caps);
    ATLAS_TRY(const vk::DeviceChoice choice, vk::choose_device(caps, wish));
    const vk::DeviceCaps& device = caps[choice.index];
    const vk::Quirks quirks = vk::quirks_for(device);
    const vk::MainHeap main = vk::main_heap(device);
    if (!main.found) return fail(ErrorCode::no_device, "{} reports no memory", device.name);
    const vk::HeapState heap = vk::heap_state(device.heaps[main.index], 0, quirks, std::nullopt, true);
    Chosen chosen;
    if (const auto card = catalogue.find_card(device.name)) chosen = of_card(catalogue, **card);
    Result<SpeedFactors> factors = tl::unexpected(Error{});
    if (!flags.no_measure) {
        factors = measured_factors(device, wish, kept, flags.measure);
        if (!factors) note("this device could not be measured ({}): speeds are those of its class", factors.error().message);
    }
    if (factors) {
        chosen.speed = *factors;
    } else if (chosen.speed.bandwidth_gbps == 0) {
        // A device that nobody measured: its class by what it is.
        Card unknown;
        unknown.bandwidth_gbps = quirks.slow ? 10 : device.type == vk::DeviceType::discrete ? 300 : 60;
        unknown.fp32_tflops = quirks.slow ? 0.05 : 5;
        chosen.speed = factors_of(catalogue, unknown);
        chosen.speed.source = "a guess: this device is not in the catalogue and was not measured";
    }
    chosen.target.name = fmt::format("{} ({})", device.name, device.driver_line());
    chosen.target.total_bytes = heap.total_bytes;
    chosen.target.available_bytes = heap.available_bytes;
    chosen.target.max_storage_bytes = quirks.max_slab_bytes;
    chosen.target.note = fmt::format("{} used by other programs, the driver's budget and a margin kept", bytes_text(heap.used_bytes));
    return chosen;
}

Result<uint32_t> parse_context(const std::string& text) {
    uint32_t n = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
    const std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
    if (error != std::errc() || n == 0 || !(rest.empty() || rest == "k" || rest == "K") || n > (1u << 26)) {
        return fail(ErrorCode::invalid_argument, "--ctx {}: expected a number of tokens such as 16384 or 16k, or 'max'", text);
    }
    return rest.empty() ? n : n * 1024;
}

int print_size(const Catalogue& catalogue, const PlanFlags& flags) {
    const auto model = catalogue.find_model(flags.size_of);
    if (!model) return print_error(model.error());
    const auto size = size_of((*model)->shape, flags.quant.empty() ? "Q4_K_M" : flags.quant, flags.importance);
    if (!size) return print_error(size.error());
    if (flags.json) {
        const nlohmann::ordered_json out = {{"model", (*model)->shape.id},
                                            {"quant", flags.quant.empty() ? "Q4_K_M" : flags.quant},
                                            {"file_bytes", size->file_bytes},
                                            {"tensor_bytes", size->tensor_bytes},
                                            {"bits_per_weight", size->bits_per_weight}};
        fmt::print("{}\n", out.dump(2));
    } else {
        fmt::print("{} {}: file {} ({} bytes), tensors {} bytes, {:.2f} bits per weight\n", (*model)->shape.id,
                   flags.quant.empty() ? "Q4_K_M" : flags.quant, bytes_text(size->file_bytes), size->file_bytes, size->tensor_bytes,
                   size->bits_per_weight);
    }
    return 0;
}

// A request and what it points into.
struct Asked {
    PlanRequest request;
    std::optional<FileShape> file;
    CatalogueModel file_model;
    std::optional<ModelFit> file_fit;
};

Result<void> read_file(const PlanFlags& flags, Asked& asked) {
    ATLAS_TRY(const auto path, find_model(flags.file));
    ATLAS_TRY(const gguf::File file, gguf::File::open(path));
    ATLAS_TRY(asked.file, shape_of_file(file));
    asked.file_model.shape = asked.file->shape;
    ATLAS_TRY(asked.file_fit, ModelFit::of_file(asked.file_model.shape, asked.file->quant, asked.file->size, asked.file->weights_bytes));
    asked.request.model = &asked.file_model;
    asked.request.file = &*asked.file_fit;
    return {};
}

Result<std::unique_ptr<Asked>> ask(const Catalogue& catalogue, const PlanFlags& flags, const Chosen& chosen) {
    auto asked = std::make_unique<Asked>();
    PlanRequest& request = asked->request;
    request.available_bytes = chosen.target.available_bytes;
    request.max_storage_bytes = chosen.target.max_storage_bytes;
    request.speed = chosen.speed;
    request.purpose = flags.purpose == "chat" ? Purpose::chat : Purpose::coding;
    request.min_context = request.purpose == Purpose::chat ? 8192 : 16384;
    request.quant = flags.quant;
    request.n_sequences = flags.n_sequences;
    request.all_architectures = flags.all;
    if (!flags.model.empty()) {
        ATLAS_TRY(request.model, catalogue.find_model(flags.model));
    }
    if (!flags.file.empty()) ATLAS_TRY_VOID(read_file(flags, *asked));
    request.may_be_shorter = request.model != nullptr;
    if (!flags.kv.empty()) {
        ATLAS_TRY(request.kv, parse_kv_formats(flags.kv));
    }
    if (flags.context == "max") request.max_context = true;
    else if (!flags.context.empty()) {
        ATLAS_TRY(request.n_ctx, parse_context(flags.context));
    }
    if (flags.draft == "auto") request.find_draft = true;
    else if (flags.draft != "none") {
        ATLAS_TRY(request.draft, catalogue.find_model(flags.draft));
    }
    return asked;
}

// What this device has room for where the model that was asked for is too large.
std::string what_fits_instead(const Catalogue& catalogue, PlanRequest request) {
    request.model = request.draft = nullptr;
    request.file = nullptr;
    request.quant.clear();
    request.may_be_shorter = false;
    request.n_ctx = 0;
    const auto choices = choose(catalogue, request, 1);
    if (!choices || choices->empty()) return "";
    const PlanChoice& best = choices->front();
    return fmt::format(". What fits: {} {} with {} tokens, {}", best.model->shape.id, best.quant, best.n_ctx, bytes_text(best.total_bytes()));
}

// Nothing fits: what would.
int explain_nothing(const Catalogue& catalogue, const PlanRequest& request, const PlanTarget& target) {
    const auto need = smallest_need(catalogue, request);
    if (!need) return print_error(need.error());
    const double times = double(need->total_bytes()) / double(std::max<uint64_t>(1, target.available_bytes));
    return print_error({ErrorCode::out_of_memory,
                        fmt::format("{} in the {} that {} has for a model. The smallest choice{}, {} {} with {} tokens of context and a {} cache, "
                                    "needs {}{} ({} weights, {} cache, {} scratch){}",
                                    request.model != nullptr ? request.model->shape.id + " does not fit" : "nothing fits",
                                    bytes_text(target.available_bytes), target.name, request.all_architectures || request.model != nullptr ? "" : " that this version runs",
                                    need->model->shape.id, need->quant, need->n_ctx, name_of(need->kv), bytes_text(need->total_bytes()),
                                    times >= 1.5 && times < 1000 ? fmt::format(", {:.1f} times as much", times) : "", bytes_text(need->footprint.weights_bytes),
                                    bytes_text(need->footprint.kv_bytes), bytes_text(need->footprint.working_bytes()),
                                    request.model != nullptr ? what_fits_instead(catalogue, request) : "")});
}

Result<Chosen> target_of(const Catalogue& catalogue, const PlanFlags& flags, const std::filesystem::path& kept) {
    Chosen chosen;
    if (!flags.card.empty()) {
        ATLAS_TRY(const Card* card, catalogue.find_card(flags.card));
        chosen = of_card(catalogue, *card);
    } else if (!flags.vram.empty()) {
        ATLAS_TRY(chosen, of_vram(catalogue, flags.vram));
    } else {
        ATLAS_TRY(chosen, of_this_machine(catalogue, flags, kept));
    }
    if (!flags.keep_free.empty()) {
        ATLAS_TRY(const uint64_t free_bytes, parse_bytes(flags.keep_free));
        chosen.target.available_bytes -= std::min(free_bytes, chosen.target.available_bytes);
        chosen.target.note += fmt::format("; {} kept free as asked", bytes_text(free_bytes));
    }
    return chosen;
}

// Flags that say nothing together.
Result<void> check_flags(const PlanFlags& flags) {
    const int targets = !flags.card.empty() + !flags.vram.empty() + !flags.device.empty();
    if (targets > 1) return fail(ErrorCode::invalid_argument, "--card, --vram and --device: give one of them");
    if (!flags.file.empty() && !flags.model.empty()) return fail(ErrorCode::invalid_argument, "--file and --model: give one of them");
    if (!flags.file.empty() && !flags.quant.empty()) return fail(ErrorCode::invalid_argument, "--quant does not go with --file: the file has its own");
    if (flags.prices.api_usd_per_million > 0 && flags.prices.usd_per_kwh == 0) {
        return fail(ErrorCode::invalid_argument, "--api-price is compared with the energy's: give --tariff, too");
    }
    return {};
}

int run_plan(const PlanFlags& flags) {
    if (const auto checked = check_flags(flags); !checked) return print_error(checked.error());
    const auto dirs = user_dirs(system_environment);
    const auto catalogue = user_catalogue();
    if (!catalogue) return print_error(catalogue.error());
    if (!flags.size_of.empty()) return print_size(*catalogue, flags);
    const auto chosen = target_of(*catalogue, flags, dirs ? dirs->cache / "speed.json" : std::filesystem::path());
    if (!chosen) return print_error(chosen.error());
    const auto asked = ask(*catalogue, flags, *chosen);
    if (!asked) return print_error(asked.error());
    const PlanRequest& request = (*asked)->request;
    const auto choices = choose(*catalogue, request, flags.n_choices);
    if (!choices) return print_error(choices.error());
    if (choices->empty()) return explain_nothing(*catalogue, request, chosen->target);

    const PlanChoice& best = choices->front();
    const auto fit = request.file != nullptr ? Result<ModelFit>(*request.file) : ModelFit::create(best.model->shape, best.quant);
    if (!fit) return print_error(fit.error());
    const auto trades = kv_trades(*catalogue, *fit, request.available_bytes, request.n_sequences);
    if (flags.json) {
        fmt::print("{}\n", choices_json(*choices, trades, chosen->target, chosen->speed, flags.prices, flags.file));
        return 0;
    }
    print_choices(*choices, chosen->target, flags.prices, flags.file);
    if (!best.draft && flags.draft != "none" && flags.n_sequences == 1) {
        fmt::print("  No draft: {}.\n", request.draft != nullptr ? request.draft->shape.id + " does not fit beside it"
                                                               : "no smaller model of its family fits beside it and pays");
    }
    print_trades(trades, best);
    fmt::print("{}", wrapped(fmt::format("\nSpeeds are predictions: {}.", chosen->speed.source), 0));
    return 0;
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<PlanFlags>();
    CLI::App* command = app.add_subcommand("plan", "Say which model fits a card, with how much context, and how fast it will be");
    command->add_option("--card", flags->card, "A card by name (\"RX 7900 GRE\") instead of this machine's");
    command->add_option("--vram", flags->vram, "Any card with this much memory: 12G");
    command->add_option("--device", flags->device, "This machine's device: index, part of the name, or UUID (see `atlas-vk devices`)");
    command->add_option("--model", flags->model, "Only this model of the catalogue");
    command->add_option("--file", flags->file, "This GGUF file (only its header is read)");
    command->add_option("--quant", flags->quant, "Only this quantization: Q4_K_M, Q8_0, ...");
    command->add_option("--ctx", flags->context, "Context in tokens (16384, 16k), or max: as much as fits");
    command->add_option("--kv", flags->kv, "Cache format: f16, q8_0, q4_0 ..., or two as K:V");
    command->add_option("--parallel", flags->n_sequences, "Sequences at once, each with its own context")->check(CLI::Range(1u, 1024u));
    command->add_option("--draft", flags->draft, "A draft model for speculation: a model's name, auto or none")->capture_default_str();
    command->add_option("--keep-free", flags->keep_free, "Leave this much memory to others: 1G");
    command->add_option("--for", flags->purpose, "What for")->check(CLI::IsMember({"coding", "chat"}))->capture_default_str();
    command->add_option("--choices", flags->n_choices, "How many choices to show")->check(CLI::Range(1u, 100u))->capture_default_str();
    command->add_flag("--measure", flags->measure, "Measure this device again");
    command->add_flag("--no-measure", flags->no_measure, "Do not measure this device: speeds by its class");
    command->add_flag("--all", flags->all, "Also models whose architecture this version cannot run yet");
    command->add_option("--tariff", flags->prices.usd_per_kwh, "Price of energy in $/kWh: shows joules and cost")->check(CLI::Range(0.0, 10.0));
    command->add_option("--api-price", flags->prices.api_usd_per_million, "A paid API's $ per million tokens, to compare")->check(CLI::Range(0.0, 10000.0));
    command->add_option("--size-of", flags->size_of, "Print how large this model's file is in --quant, nothing else");
    command->add_flag("--imatrix", flags->importance, "With --size-of: made with an importance matrix");
    command->add_flag("--json", flags->json, "Print JSON");
    command->footer(
        "Examples:\n"
        "  atlas-vk plan\n"
        "  atlas-vk plan --card \"RX 7900 GRE\" --for coding\n"
        "  atlas-vk plan --vram 12G --model qwen2.5-coder-14b --ctx max\n"
        "  atlas-vk plan --file model.gguf --kv q8_0\n"
        "  atlas-vk plan --size-of Qwen2.5-Coder-7B --quant Q4_K_M\n"
        "Your own models and cards: catalogue.json in the configuration folder, as runtime/planner/catalogue.json.");
    command->callback([flags, &exit_code] { exit_code = run_plan(*flags); });
}

}  // namespace atlas::tools
