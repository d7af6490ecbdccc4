// atlas-vk plan: which model, at which quantization, with how much context, and how fast, on this machine's card or any
// other.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "runtime/base/in_quotes.h"
#include "runtime/base/json_text.h"
#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/gguf/file_error.h"
#include "runtime/planner/file_shape.h"
#include "runtime/text/vocabulary.h"
#include "tools/context_size.h"
#include "tools/fit_columns.h"
#include "tools/flag_checks.h"
#include "tools/messages.h"
#include "tools/model_flags.h"
#include "tools/model_path.h"
#include "tools/models/catalogue.h"
#include "tools/models/environment.h"
#include "tools/plan_report.h"
#include "tools/plan_target.h"
#include "tools/subcommands.h"
#include "tools/terminal_text.h"

namespace atlas::tools {
namespace {

struct PlanFlags {
    TargetFlags target;
    std::string model, file, quant, context, kv, draft = "auto", purpose = "coding", size_of;
    uint32_t n_sequences = 1;
    uint32_t n_choices = 5;
    bool json = false, all = false, importance = false;
    PlanPrices prices;
};

// The flags alone, before the catalogue or a device is read.
struct Wishes {
    TargetWish target;
    uint32_t n_ctx = 0;
    bool max_context = false;
    std::optional<KvFormats> kv;
};

int print_size(const CatalogueModel& model, const std::string& wanted, const PlanFlags& flags) {
    const std::string quant = !wanted.empty() ? wanted : !model.native_quant.empty() ? model.native_quant : "Q4_K_M";
    const auto size = size_of(model.shape, quant, flags.importance);
    if (!size) return print_error(size.error());
    if (flags.json) {
        const nlohmann::ordered_json out = {{"model", model.shape.id},
                                            {"quant", quant},
                                            {"file_bytes", size->file_bytes},
                                            {"tensor_bytes", size->tensor_bytes},
                                            {"bits_per_weight", size->bits_per_weight}};
        fmt::print("{}\n", json_text(out, 2));
    } else {
        print_fitted(fmt::format("{} {}: file {} ({} bytes), tensors {} bytes, {:.2f} bits per weight\n",
                                 model.shape.id, quant, bytes_text(size->file_bytes), size->file_bytes,
                                 size->tensor_bytes, size->bits_per_weight));
    }
    return 0;
}

// The entries of the catalogue that the flags name.
struct Named {
    const Card* card = nullptr;
    const CatalogueModel *model = nullptr, *draft = nullptr, *size_of = nullptr;
};

Result<Named> look_up(const Catalogue& catalogue, const PlanFlags& flags) {
    Named named;
    if (!flags.target.card.empty()) {
        ATLAS_TRY(named.card, catalogue.find_card(flags.target.card));
    }
    if (!flags.model.empty()) {
        ATLAS_TRY(named.model, catalogue.find_model(flags.model));
    }
    if (flags.draft != "auto" && flags.draft != "none") {
        ATLAS_TRY(named.draft, catalogue.find_model(flags.draft));
    }
    if (!flags.size_of.empty()) {
        ATLAS_TRY(named.size_of, catalogue.find_model(flags.size_of));
    }
    if (!flags.quant.empty())
        ATLAS_TRY_VOID(size_of(catalogue.models.front().shape, flags.quant, false).map([](const ModelSize&) {}));
    return named;
}

// A request and the objects that it points into.
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
    if (const auto checked = check_token_ids(file); !checked) return gguf::fail_in_file(path, checked.error());
    asked.file_model.shape = asked.file->shape;
    ATLAS_TRY(asked.file_fit, ModelFit::of_file(asked.file_model.shape, asked.file->quant, asked.file->size,
                                                asked.file->weights_bytes));
    asked.request.model = &asked.file_model;
    asked.request.file = &*asked.file_fit;
    return {};
}

Result<std::unique_ptr<Asked>> ask(const PlanFlags& flags, const Wishes& wishes, const Named& named) {
    auto asked = std::make_unique<Asked>();
    PlanRequest& request = asked->request;
    request.purpose = flags.purpose == "chat" ? Purpose::chat : Purpose::coding;
    request.min_context = request.purpose == Purpose::chat ? 8192 : 16384;
    request.quant = flags.quant;
    request.n_sequences = flags.n_sequences;
    request.all_architectures = flags.all;
    request.model = named.model;
    request.draft = named.draft;
    request.find_draft = flags.draft == "auto";
    request.kv = wishes.kv;
    request.n_ctx = wishes.n_ctx;
    request.max_context = wishes.max_context;
    if (!flags.file.empty()) ATLAS_TRY_VOID(read_file(flags, *asked));
    request.may_be_shorter = request.model != nullptr;
    return asked;
}

// Proposes what this device has room for when the requested model is too large.
std::string what_fits_instead(const Catalogue& catalogue, PlanRequest request) {
    request.model = request.draft = nullptr;
    request.file = nullptr;
    request.quant.clear();
    request.may_be_shorter = false;
    request.n_ctx = 0;
    const auto choices = choose(catalogue, request, 1);
    if (!choices || choices->empty()) return "";
    const PlanChoice& best = choices->front();
    return fmt::format(". What fits: {} {} with {} tokens, {}", best.model->shape.id, best.quant, best.n_ctx,
                       bytes_text(best.total_bytes()));
}

// Nothing fits: says what would.
int explain_nothing(const Catalogue& catalogue, const PlanRequest& request, const PlanTarget& target) {
    const auto need = smallest_need(catalogue, request);
    if (!need) return print_error(need.error());
    const double times = double(need->total_bytes()) / double(std::max<uint64_t>(1, target.available_bytes));
    return print_error(
        {ErrorCode::out_of_memory,
         fmt::format("{} in the {} that {} has for a model. The smallest choice{}, {} {} with {} tokens of context and "
                     "a {} cache, "
                     "needs {}{} ({} weights, {} cache, {} scratch){}",
                     request.model != nullptr ? request.model->shape.id + " does not fit" : "nothing fits",
                     bytes_text(target.available_bytes), target.name,
                     request.all_architectures || request.model != nullptr ? "" : " that this version runs",
                     need->model->shape.id, need->quant, need->n_ctx, name_of(need->kv),
                     bytes_text(need->total_bytes()),
                     times >= 1.5 && times < 1000 ? fmt::format(", {:.1f} times as much", times) : "",
                     bytes_text(need->footprint.weights_bytes), bytes_text(need->footprint.kv_bytes),
                     bytes_text(need->footprint.working_bytes()),
                     request.model != nullptr ? what_fits_instead(catalogue, request) : "")});
}

// Errors of the flags themselves.
Result<Wishes> check_flags(const PlanFlags& flags) {
    if (!flags.file.empty() && !flags.model.empty())
        return fail(ErrorCode::invalid_argument, "--file and --model: give one of them");
    if (!flags.file.empty() && !flags.quant.empty())
        return fail(ErrorCode::invalid_argument, "--quant does not go with --file: the file has its own");
    if (flags.importance && flags.size_of.empty())
        return fail(ErrorCode::invalid_argument, "--imatrix goes with --size-of");
    if (flags.prices.api_usd_per_million > 0 && flags.prices.usd_per_kwh == 0) {
        return fail(ErrorCode::invalid_argument, "--api-price is compared with the energy's: give --tariff, too");
    }
    Wishes wishes;
    ATLAS_TRY(wishes.target, check_target(flags.target));
    wishes.max_context = flags.context == "max";
    if (!wishes.max_context && !flags.context.empty()) {
        const auto n_ctx = parse_context(flags.context);
        if (!n_ctx) return fail(n_ctx.error().code, "--ctx: {}; max: as much as fits", n_ctx.error().message);
        wishes.n_ctx = *n_ctx;
        if (const auto rounded = rounded_context_text(wishes.n_ctx); !rounded.empty()) print_note(rounded);
    }
    if (!flags.kv.empty()) {
        ATLAS_TRY(wishes.kv, parse_kv_formats(flags.kv));
    }
    return wishes;
}

int print_plan(const Catalogue& catalogue, const PlanFlags& flags, const Chosen& chosen, const PlanRequest& request) {
    const auto choices = choose(catalogue, request, flags.n_choices);
    if (!choices) return print_error(choices.error());
    if (choices->empty()) return explain_nothing(catalogue, request, chosen.target);

    const PlanChoice& best = choices->front();
    const auto fit =
        request.file != nullptr ? Result<ModelFit>(*request.file) : ModelFit::create(best.model->shape, best.quant);
    if (!fit) return print_error(fit.error());
    const auto trades = kv_trades(catalogue, *fit, request.room, request.n_sequences);
    if (flags.json) {
        fmt::print("{}\n", choices_json(*choices, trades, chosen, flags.prices, flags.file));
        return 0;
    }
    print_choices(*choices, chosen, flags.prices, flags.file, request.model != nullptr);
    if (!best.draft && flags.draft != "none" && flags.n_sequences == 1) {
        print_text("  No draft: {}.\n", request.draft != nullptr
                                            ? request.draft->shape.id + " does not fit beside it"
                                            : "no smaller model of its family fits beside it and pays");
    }
    print_trades(trades, best);
    print_text(wrapped(fmt::format("\nSpeeds are predictions: {}.", chosen.speed.source), 0));
    return 0;
}

int run_plan(const PlanFlags& flags) {
    auto wishes = check_flags(flags);
    if (!wishes) return print_error(wishes.error()), 2;
    const auto catalogue = user_catalogue();
    if (!catalogue) return print_error(catalogue.error());
    const auto named = look_up(*catalogue, flags);
    if (!named) return print_error(named.error()), 2;
    if (named->size_of != nullptr) return print_size(*named->size_of, flags.quant, flags);
    const auto asked = ask(flags, *wishes, *named);
    if (!asked) return print_error(asked.error());
    const auto dirs = user_dirs(system_environment);
    wishes->target.card = named->card;
    const auto chosen =
        choose_target(*catalogue, wishes->target, dirs ? dirs->cache / "speed.json" : std::filesystem::path());
    if (!chosen) return print_error(chosen.error());
    PlanRequest& request = (*asked)->request;
    request.room = {chosen->target.available_bytes, chosen->target.max_storage_bytes};
    request.speed = chosen->speed;
    return print_plan(*catalogue, flags, *chosen, request);
}

}  // namespace

void add_plan(CLI::App& app, int& exit_code) {
    auto flags = std::make_shared<PlanFlags>();
    CLI::App* command =
        app.add_subcommand("plan", "Show which model fits a card, with how much context, and how fast it will be");
    command->add_option("--card", flags->target.card, "Plan for this card (\"RX 7900 GRE\") instead of this machine's");
    command
        ->add_option("--vram", flags->target.vram,
                     "Plan for any card with this much memory: 12G; its speed is unknown without --bandwidth")
        ->check(byte_size(), "");
    command
        ->add_option("--bandwidth", flags->target.bandwidth_gbps,
                     "Set the card's memory bandwidth in GB/s, with --vram")
        ->check(number(1, 100000), "");
    command->add_flag("--headless", flags->target.headless, "Keep no memory for a desktop, with --card or --vram");
    command->add_option(
        "--device", flags->target.device,
        "Plan for this device of the machine: index, part of the name, or UUID (see `atlas-vk devices`)");
    command->add_option("--model", flags->model, "Consider only this model of the catalogue");
    command->add_option("--file", flags->file, "Plan this GGUF file (only its header is read)");
    command->add_option("--quant", flags->quant, "Consider only this quantization: Q4_K_M, Q8_0, ...");
    command->add_option("--ctx", flags->context, "Set the context in tokens: 16384, 16k, or max (as much as fits)");
    command->add_option("--kv", flags->kv, "Set the cache format: f16, q8_0, q4_0 ..., or two as K:V");
    command
        ->add_option("--parallel", flags->n_sequences,
                     "Plan for this many sequences at once, each with its own context")
        ->check(whole_number(1, 1024), "");
    command->add_option("--draft", flags->draft, "Add a draft model for speculation: a model's name, auto or none")
        ->capture_default_str();
    add_keep_free_flag(*command, flags->target.keep_free);
    command->add_option("--for", flags->purpose, "Rank for this purpose")
        ->check(CLI::IsMember({"coding", "chat"}))
        ->capture_default_str();
    command->add_option("--choices", flags->n_choices, "Show this many choices")
        ->check(whole_number(1, 100), "")
        ->capture_default_str();
    command->add_flag("--measure", flags->target.measure, "Measure this device again");
    command->add_flag("--no-measure", flags->target.no_measure,
                      "Do not measure this device: predict speeds by its class");
    command->add_flag("--all", flags->all, "Show also models whose architecture this version cannot run yet");
    command->add_option("--tariff", flags->prices.usd_per_kwh, "Show joules and cost at this price of energy in $/kWh")
        ->check(number(0, 10), "");
    command
        ->add_option("--api-price", flags->prices.api_usd_per_million,
                     "Compare with a paid API at this price in $ per million tokens")
        ->check(number(0, 10000), "");
    command->add_option("--size-of", flags->size_of, "Print only how large this model's file is in --quant");
    command->add_flag("--imatrix", flags->importance, "Assume an importance matrix, with --size-of");
    command->add_flag("--json", flags->json, "Print JSON");
    command->footer(
        "Examples:\n"
        "  atlas-vk plan\n"
        "  atlas-vk plan --card \"RX 7900 GRE\" --for coding\n"
        "  atlas-vk plan --vram 12G --bandwidth 504 --model qwen2.5-coder-14b --ctx max\n"
        "  atlas-vk plan --card \"RX 7900 XT\" --headless --model qwen2.5-coder-32b\n"
        "  atlas-vk plan --file model.gguf --kv q8_0\n"
        "  atlas-vk plan --size-of Qwen2.5-Coder-7B --quant Q4_K_M\n"
        "Your own models and cards: catalogue.json in the configuration folder, as runtime/planner/catalogue.json.");
    command->callback([flags, &exit_code] { exit_code = run_plan(*flags); });
}

}  // namespace atlas::tools
