#include "tools/model_flags.h"

#include <charconv>
#include <random>

#include "runtime/model/memory_plan.h"
#include "tools/context_size.h"
#include "tools/flag_checks.h"
#include "tools/offer_pull.h"

namespace atlas::tools {

Result<KvFormats> kv_formats(std::string_view formats, std::string_view rotation) {
    ATLAS_TRY(KvFormats parsed, parse_kv_formats(formats));
    if (rotation == "auto") return with_default_rotation(parsed);
    parsed.rotate_k = rotation == "k" || rotation == "kv";
    parsed.rotate_v = rotation == "v" || rotation == "kv";
    return parsed;
}

void add_kv_flags(CLI::App& command, std::string& kv_type, std::string& rotation) {
    command
        .add_option(
            "--kv,--kv-type", kv_type,
            "Set the format of the KV cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, or keys:values (q8_0:q4_0)")
        ->check(cache_formats(), "")
        ->capture_default_str();
    command
        .add_option("--kv-rotation", rotation,
                    "Rotate keys (k), values (v), both (kv) or none before they are rounded; auto: where it was "
                    "measured to help")
        ->check(CLI::IsMember({"auto", "none", "k", "v", "kv"}))
        ->capture_default_str();
}

void add_keep_free_flag(CLI::App& command, std::string& keep_free) {
    command
        .add_option("--keep-free", keep_free,
                    "Leave this much of the device's memory to others: 1G, 800M; a bare number means GiB")
        ->check(byte_size(), "");
}

void add_model_flags(CLI::App& command, ModelFlags& flags) {
    command
        .add_option("-m,--model", flags.model,
                    "Use this model: a stored name (see `atlas-vk list`) or a path to a .gguf file")
        ->required();
    add_pull_flag(command, flags.pull);
    command.add_option("--device", flags.device,
                       "Use this device: its index, a part of its name, or its UUID (see `atlas-vk devices`)");
    command
        .add_option("-c,--ctx", flags.n_ctx,
                    "Set the context in tokens: 16384, 16k (default: as much as fits comfortably, at most the model's "
                    "own)")
        ->transform(context_size(), "");
    add_kv_flags(command, flags.kv_type, flags.kv_rotation);
    constexpr uint32_t kMostCheckpoints = 4096;
    command
        .add_option("--checkpoints", flags.checkpoints,
                    "Keep this many states of earlier positions, of models whose layers have states (Qwen3.5): a text "
                    "that changes is read again from the nearest one (default: what 512 MiB hold, 2 to 8)")
        ->check(whole_number(0, kMostCheckpoints), "");
    add_keep_free_flag(command, flags.keep_free);
    command
        .add_option("--memory-limit", flags.memory_limit,
                    "Use at most this much of the device's memory: 6G, 800M; a bare number means GiB")
        ->check(byte_size(), "");
    command.add_flag("--validate", flags.validate, "Run under Vulkan's validation layers (slow; for developers)");
}

namespace {

// -1 is how other programs spell "none given".
bool is_minus_one(const std::string& text) { return text == "-1"; }

FlagCheck or_minus_one(FlagCheck check, const char* meaning) {
    return [check = std::move(check), meaning](const std::string& text) {
        std::string wrong = is_minus_one(text) ? "" : check(text);
        return wrong.empty() ? wrong : fmt::format("{} (-1: {})", wrong, meaning);
    };
}

// Checked before.
template <class Number>
Number number_in(const std::string& text) {
    Number value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

}  // namespace

std::string rounded_context_text(uint32_t n_ctx) {
    const uint64_t rounded = uint64_t{pages_for(n_ctx)} * kPageTokens;
    if (rounded == n_ctx) return "";
    return fmt::format("--ctx {} gives {} tokens of context: it consists of pages of {}", n_ctx, rounded, kPageTokens);
}

void add_sampling_flags(CLI::App& command, SamplingFlags& flags) {
    const std::string group = "Sampling";
    SamplerOptions& s = flags.sampler;
    constexpr double kMost = 1e4;  // as Sampler::create
    command
        .add_option_function<std::string>(
            "-n,--max-tokens",
            [&flags](const std::string& text) {
                flags.max_tokens = is_minus_one(text) ? 0 : number_in<uint32_t>(text);
            },
            "End the answer after this many tokens (default: when the model ends it or the context is full)")
        ->check(or_minus_one(whole_number(1), "no limit"), "")
        ->type_name("UINT");
    command.add_option("--stop", flags.stop_strings, "End the answer before this text; may be given more than once")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false);
    const auto add = [&](const char* name, auto& value, const char* what, FlagCheck check) {
        command.add_option(name, value, what)->check(std::move(check), "")->capture_default_str()->group(group);
    };
    add("--temperature", s.temperature, "Divide the logits by this; 0: greedy", number(0, kMost));
    add("--top-k", s.top_k, "Choose among the k most likely; 0: all", whole_number(0));
    add("--top-p", s.top_p, "Choose among the most likely that sum to p; 1: all", number(0, 1));
    add("--min-p", s.min_p, "Drop what is less likely than p times the best; 0: none", number(0, 1));
    add("--repeat-penalty", s.repetition_penalty, "Divide the logits of seen tokens by this; 1: off",
        number(1e-3, kMost));
    add("--frequency-penalty", s.frequency_penalty, "Subtract this for every time a token was seen",
        number(-kMost, kMost));
    add("--presence-penalty", s.presence_penalty, "Subtract this once from seen tokens", number(-kMost, kMost));
    command
        .add_option_function<std::string>(
            "--seed",
            [&flags](const std::string& text) {
                if (is_minus_one(text))
                    flags.seed.reset();
                else
                    flags.seed = number_in<uint64_t>(text);
            },
            "Draw by this seed; the same seed gives the same answer (default, and -1: a new one each time)")
        ->check(or_minus_one(whole_number(0, std::numeric_limits<uint64_t>::max()), "a new seed each time"), "")
        ->type_name("UINT")
        ->group(group);
}

GenerateOptions generate_options(const SamplingFlags& flags) {
    GenerateOptions options;
    options.sampler = flags.sampler;
    if (flags.seed) {
        options.sampler.seed = *flags.seed;
    } else {
        std::random_device device;
        options.sampler.seed = (uint64_t{device()} << 32) | device();
    }
    options.max_tokens = flags.max_tokens;
    options.stop_strings = flags.stop_strings;
    return options;
}

void add_report_flags(CLI::App& command, ReportFlags& flags) {
    CLI::Option* quiet = command.add_flag("-q,--quiet", flags.quiet, "Print no line of figures after an answer");
    command.add_flag("-v,--verbose", flags.verbose, "Print all figures: prompt and answer, draft tokens, times")
        ->excludes(quiet);
}

}  // namespace atlas::tools
