#include "tools/open_model.h"

#include <unistd.h>

#include <chrono>
#include <random>

#include "runtime/base/units.h"
#include "runtime/base/user_dirs.h"
#include "runtime/vk/instance.h"
#include "tools/messages.h"
#include "tools/model_path.h"
#include "tools/models/catalogue.h"
#include "tools/models/environment.h"

namespace atlas::tools {

namespace {

// A bar on stderr once loading has taken a second; on a terminal only, and wiped at the end.
class LoadBar {
  public:
    void show(uint64_t done_bytes, uint64_t total_bytes) {
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        if (!terminal_ || seconds < 1.0 || (done_bytes < total_bytes && seconds - shown_at_ < 0.1)) return;
        shown_at_ = seconds;
        constexpr int kWidth = 30;
        const double share = total_bytes > 0 ? double(done_bytes) / double(total_bytes) : 1.0;
        const int filled = static_cast<int>(share * kWidth);
        fmt::print(stderr, "\rloading [{}{}] {:3.0f} %  {:.1f} of {:.1f} MB  {:.0f} MB/s ", std::string(filled, '#'),
                   std::string(kWidth - filled, ' '), share * 100, double(done_bytes) / 1e6, double(total_bytes) / 1e6,
                   double(done_bytes) / 1e6 / seconds);
    }
    ~LoadBar() {
        if (shown_at_ > 0) fmt::print(stderr, "\r\033[K");
    }
    // Said only when loading was long enough to wonder about.
    void tell(uint64_t bytes) const {
        const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
        if (seconds < 1.0) return;
        if (shown_at_ > 0) fmt::print(stderr, "\r\033[K");
        fmt::print(stderr, "loaded {} in {} ({}/s)\n", bytes_text(bytes), duration_text(seconds), bytes_text(static_cast<uint64_t>(double(bytes) / seconds)));
    }

  private:
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    double shown_at_ = 0;
    bool terminal_ = isatty(STDERR_FILENO) != 0;
};

Result<std::unique_ptr<VkBackend>> make_backend(const ModelFlags& flags) {
    VkBackendOptions options;
    options.device = flags.device;
    options.validation = flags.validate;
    if (!flags.memory_limit.empty()) {
        ATLAS_TRY(options.memory_limit_bytes, parse_bytes(flags.memory_limit));
    }
    options.self_test = true;
    if (const auto dirs = user_dirs(system_environment)) {
        options.pipeline_cache = dirs->cache / "pipelines";
        options.choices_folder = dirs->cache / "kernels";
    }
    ATLAS_TRY(auto backend, make_vk_backend(options));
    if (backend->is_software()) {
        note("running on {}", backend->describe());
    }
    return backend;
}

// What the budget's watch asks for when memory is short. A draft's cache goes first: that costs speed alone.
BudgetWatch::GivenBack give_back(Session& session, Speculators* speculation, uint64_t bytes) {
    const auto tell = [](const Error& error) { warning("the cache could not be made smaller: {}", error.message); };
    const auto of_draft = speculation != nullptr ? speculation->give_back(bytes) : Result<uint64_t>(0);
    if (!of_draft) tell(of_draft.error());
    BudgetWatch::GivenBack given{of_draft.value_or(0), ""};
    if (given.bytes > 0) given.effect = "the draft's cache is smaller now";
    if (given.bytes >= bytes) return given;
    const uint32_t before = session.n_ctx();
    const auto of_session = session.give_back(bytes - given.bytes);
    if (!of_session) tell(of_session.error());
    given.bytes += of_session.value_or(0);
    if (session.n_ctx() == before) return given;
    given.effect += fmt::format("{}the context holds {} tokens now, no longer {}", given.effect.empty() ? "" : ", ", session.n_ctx(), before);
    return given;
}

void tell_of_memory(const std::string& line) {
    std::fputc('\n', stderr);  // an answer may be on this line
    print_warning(line);
}

std::string_view words_for(FinishReason reason) {
    switch (reason) {
        case FinishReason::end_of_generation: return "complete";
        case FinishReason::stop_string: return "stop string";
        case FinishReason::max_tokens: return "cut at --max-tokens";
        case FinishReason::context_full: return "context full";
        case FinishReason::cancelled: return "stopped";
    }
    return "";
}

// Nothing where no guess was checked.
std::string speculation_text(const SpeculationFigures& f) {
    if (f.n_blocks == 0) return "";
    return fmt::format("; {} of {} guesses right, {:.2f} tokens per step, {:.2f} x plain; draft {:.1f} ms, verify {:.1f} ms, host {:.1f} ms", f.n_accepted,
                       f.n_guesses, f.tokens_per_step(), f.speed_up(), f.draft_ms, f.verify_ms, f.host_ms + f.record_ms);
}

}  // namespace

Result<KvFormats> kv_formats(std::string_view formats, std::string_view rotation) {
    ATLAS_TRY(KvFormats parsed, parse_kv_formats(formats));
    if (rotation == "auto") return with_default_rotation(parsed);
    parsed.rotate_k = rotation == "k" || rotation == "kv";
    parsed.rotate_v = rotation == "v" || rotation == "kv";
    return parsed;
}

void add_kv_flags(CLI::App& command, std::string& kv_type, std::string& rotation) {
    command.add_option("--kv,--kv-type", kv_type, "Format of the KV cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1, q4_0, or keys:values (q8_0:q4_0)")
        ->capture_default_str();
    command.add_option("--kv-rotation", rotation, "Turn keys (k), values (v), both (kv) or none before they are rounded; auto: where it was measured to help")
        ->check(CLI::IsMember({"auto", "none", "k", "v", "kv"}))
        ->capture_default_str();
}

void add_keep_free_flag(CLI::App& command, std::string& keep_free) {
    command.add_option("--keep-free", keep_free, "Leave this much of the device's memory to others: 1G");
}

Result<ContextChoice> fit_context(const gguf::File& file, const VkBackend& backend, const SessionShape& shape, const std::string& keep_free,
                                  const gguf::File* draft) {
    ContextWish wish;
    wish.shape = shape;
    wish.draft = draft;
    wish.shared_memory = backend.caps().unified_memory || backend.is_software();
    if (!keep_free.empty()) {
        ATLAS_TRY(wish.keep_free_bytes, parse_bytes(keep_free));
    }
    ATLAS_TRY(const Catalogue catalogue, user_catalogue());
    return choose_context(file, backend, wish, catalogue);
}

void add_model_flags(CLI::App& command, ModelFlags& flags) {
    command.add_option("-m,--model", flags.model, "A stored model's name (see `atlas-vk list`) or a path to a .gguf file")->required();
    command.add_option("--device", flags.device, "Device to run on: its index, a part of its name, or its UUID (see `atlas-vk devices`)");
    command.add_option("--ctx", flags.n_ctx, "Context in tokens (default: as much as fits in comfort, at most the model's own)")->check(CLI::PositiveNumber);
    add_kv_flags(command, flags.kv_type, flags.kv_rotation);
    add_keep_free_flag(command, flags.keep_free);
    command.add_option("--memory-limit", flags.memory_limit, "Use at most this much of the device's memory: 6G, 800M");
    command.add_flag("--validate", flags.validate, "Run under Vulkan's validation layers (slow; for developers)");
}

void add_sampling_flags(CLI::App& command, SamplingFlags& flags) {
    const std::string group = "Sampling";
    SamplerOptions& s = flags.sampler;
    command.add_option("-n,--max-tokens", flags.max_tokens, "Longest answer in tokens (default: until the model ends or the context is full)");
    command.add_option("--stop", flags.stop_strings, "End the answer before this text; may be given more than once")->expected(1)->take_all()->allow_extra_args(false);
    command.add_option("--temperature", s.temperature, "0 is greedy")->capture_default_str()->group(group);
    command.add_option("--top-k", s.top_k, "Choose among the k most likely; 0: all")->capture_default_str()->group(group);
    command.add_option("--top-p", s.top_p, "Choose among the most likely that sum to p; 1: all")->capture_default_str()->group(group);
    command.add_option("--min-p", s.min_p, "Drop what is less likely than p times the best; 0: none")->capture_default_str()->group(group);
    command.add_option("--repeat-penalty", s.repetition_penalty, "Divide the logits of seen tokens by this; 1: off")->capture_default_str()->group(group);
    command.add_option("--frequency-penalty", s.frequency_penalty, "Subtract this for every time a token was seen")->capture_default_str()->group(group);
    command.add_option("--presence-penalty", s.presence_penalty, "Subtract this once from seen tokens")->capture_default_str()->group(group);
    command.add_option("--seed", flags.seed, "The same seed gives the same answer (default: a new one each time)")->group(group);
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

namespace {

// `speculation` null: nobody guesses.
Result<OpenModel> load_model(const ModelFlags& flags, const SpeculationFlags* speculation, SessionShape& shape) {
    OpenModel open;
    ATLAS_TRY(shape.kv_format, kv_formats(flags.kv_type, flags.kv_rotation));
    ATLAS_TRY(const auto path, find_model(flags.model));
    ATLAS_TRY(auto file, gguf::File::open(path));
    open.file = std::make_unique<gguf::File>(std::move(file));
    ATLAS_TRY(open.tokenizer, Tokenizer::load(*open.file));
    ATLAS_TRY(open.backend, make_backend(flags));
    shape.n_ctx = flags.n_ctx;
    if (speculation != nullptr) {
        ATLAS_TRY(open.draft_file, open_draft_file(*speculation, *open.file, *open.tokenizer));
    }
    auto fitted = fit_context(*open.file, *open.backend, shape, flags.keep_free, open.draft_file.get());
    if (!fitted && open.draft_file && speculation->draft == "auto" && fitted.error().code == ErrorCode::out_of_memory) {
        open.draft_file.reset();
        fitted = fit_context(*open.file, *open.backend, shape, flags.keep_free);
        if (fitted) note("--draft auto: the draft does not fit beside the model");
    }
    ATLAS_TRY(const ContextChoice choice, std::move(fitted));
    if (flags.n_ctx == 0) fmt::print(stderr, "{}\n", describe(choice, shape.kv_format));
    shape.n_ctx = open.n_ctx = choice.plan.n_ctx;
    open.kv = shape.kv_format;
    LoadBar bar;
    ATLAS_TRY(open.model, Model::load(*open.file, *open.backend, shape, [&bar](uint64_t done, uint64_t total) { bar.show(done, total); }));
    bar.tell(open.model->weights_bytes());
    return open;
}

}  // namespace

Result<OpenModel> open_without_session(const ModelFlags& flags, const SpeculationFlags& speculation) {
    SessionShape shape;
    ATLAS_TRY(OpenModel open, load_model(flags, &speculation, shape));
    open.watch = std::make_unique<BudgetWatch>(*open.backend, tell_of_memory);
    return open;
}

namespace {

Result<OpenModel> open_with_session(const ModelFlags& flags, const SpeculationFlags* speculation, uint32_t max_outputs) {
    SessionShape shape;
    shape.max_outputs = max_outputs;
    ATLAS_TRY(OpenModel open, load_model(flags, speculation, shape));
    ATLAS_TRY(open.session, Session::create(open.model, shape));
    open.guesses_by(nullptr);
    return open;
}

}  // namespace

void OpenModel::guesses_by(Speculators* speculation) {
    watch = std::make_unique<BudgetWatch>(*backend, tell_of_memory,
                                          [session_ = session.get(), speculation](uint64_t bytes) { return give_back(*session_, speculation, bytes); });
}

Result<OpenModel> open_model(const ModelFlags& flags, uint32_t max_outputs) { return open_with_session(flags, nullptr, max_outputs); }

Result<OpenModel> open_model(const ModelFlags& flags, const SpeculationFlags& speculation) {
    return open_with_session(flags, &speculation, rows_for(speculation));
}

std::vector<TokenId> chat_tokens(const Tokenizer& tokenizer, std::string_view text) {
    auto tokens = tokenizer.encode(text, {.add_special = false, .parse_special = true});
    const auto nothing = tokenizer.encode("", {.add_special = true, .parse_special = true});
    const bool wants_bos = !nothing.empty() && tokenizer.bos() == nothing.front();
    if (wants_bos && (tokens.empty() || tokens.front() != nothing.front())) tokens.insert(tokens.begin(), nothing.front());
    return tokens;
}

Result<void> check_validation(const ModelFlags& flags, OpenModel& open) {
    if (!flags.validate) return {};
    const auto messages = open.backend->take_validation_messages();
    for (const vk::ValidationMessage& message : messages) fmt::print(stderr, "validation: {}: {}\n", message.id, message.text);
    if (!messages.empty()) return fail(ErrorCode::unsupported, "the validation layers said {} things", messages.size());
    fmt::print(stderr, "validation: nothing to report\n");
    return {};
}

void explain_short_context(const GenerateReport& report, const Session& session) {
    if (report.finish != FinishReason::context_full || session.n_ctx() == session.n_ctx_at_first()) return;
    note("the context is full: it holds {} tokens since other programs took memory of the device, {} before. Close them and start again", session.n_ctx(),
         session.n_ctx_at_first());
}

void print_report(const GenerateReport& report) {
    const std::string guesses = report.speculation ? speculation_text(*report.speculation) : "";
    const std::string reused = report.reused_tokens > 0 ? fmt::format(" ({} reused)", report.reused_tokens) : "";
    fmt::print(stderr, "[prompt {} tokens{}, {:.1f} tokens/s; answer {} tokens, {:.1f} tokens/s{}; {}]\n", report.prompt_tokens, reused,
               report.prefill_tokens_per_s(), report.answer_tokens, report.decode_tokens_per_s(), guesses, words_for(report.finish));
}

}  // namespace atlas::tools
