// speculation_exact MODEL TEXT [N_PROMPTS N_TOKENS KV,KV,... DRAFT_MODEL DEVICE]: compares greedy answers with and
// without draft tokens, token for token. Prompts of 24 to 87 tokens are cut from TEXT and shared out over the formats
// of the KV cache in turn; rotated as by default; "q4_0+none" is q4_0 as it is. The answers without draft tokens are
// made four at a time (Engine), those with draft tokens one by one as run and chat make them: with lookup, and with
// lookup and draft model. Where the two differ, plain decoding of that prompt alone decides.
// Prints what was compared after every four prompts; exits with 1 at the first prompt that differs.
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "runtime/gguf/reader.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/serve/generation.h"
#include "runtime/session/batch/engine.h"
#include "runtime/session/speculation/draft_model.h"
#include "runtime/session/speculation/lookup.h"

namespace atlas {
namespace {

constexpr uint32_t kContext = 256;
constexpr uint32_t kGroup = 4;  // prompts of one format before the next has its turn
// Every width is used in turn, whatever the clock says; narrow ones more often, or most of the time would go to
// rejected draft tokens.
constexpr std::array<uint32_t, 11> kWidths = {4, 2, 8, 3, 16, 2, 4, 3, 8, 24, 3};

struct Wish {
    std::string model, text, kv, draft, device;
    uint32_t n_prompts = 200, n_tokens = 128;
};

struct Figures {
    uint64_t n_prompts = 0, n_tokens = 0, n_blocks = 0, n_draft_tokens = 0, n_accepted = 0;
    uint64_t n_decided_alone = 0;  // prompts whose answer differed in shared steps, and not alone
    void add(const Figures& other) {
        n_prompts += other.n_prompts;
        n_tokens += other.n_tokens;
        n_blocks += other.n_blocks;
        n_draft_tokens += other.n_draft_tokens;
        n_accepted += other.n_accepted;
        n_decided_alone += other.n_decided_alone;
    }
};

std::vector<std::vector<TokenId>> cut_prompts(const std::vector<TokenId>& tokens, uint32_t n) {
    std::vector<std::vector<TokenId>> prompts;
    for (uint32_t i = 0; i < n; ++i) {
        const size_t length = 24 + (i * 37) % 64;
        const size_t at = tokens.size() > length ? size_t{i} * 7919 % (tokens.size() - length) : 0;
        prompts.emplace_back(tokens.begin() + std::ptrdiff_t(at),
                             tokens.begin() + std::ptrdiff_t(std::min(tokens.size(), at + length)));
    }
    return prompts;
}

Result<KvFormats> format_of(std::string name) {
    const bool as_it_is = name.ends_with("+none");
    if (as_it_is) name.resize(name.size() - std::string_view("+none").size());
    ATLAS_TRY(const KvFormats kv, parse_kv_formats(name));
    return as_it_is ? kv : with_default_rotation(kv);
}

class Comparison {
  public:
    static Result<std::unique_ptr<Comparison>> create(const Wish& wish) {
        auto made = std::make_unique<Comparison>();
        ATLAS_TRY(const gguf::File file, gguf::File::open(wish.model));
        ATLAS_TRY(made->tokenizer_, Tokenizer::load(file));
        VkBackendOptions options;
        options.device = wish.device;
        ATLAS_TRY(made->backend_, make_vk_backend(options));
        ATLAS_TRY(made->model_, Model::load(file, *made->backend_,
                                            {.n_ctx = kContext, .n_batch = 128, .max_outputs = kBatchInvariantWidth}));
        if (!wish.draft.empty()) {
            ATLAS_TRY(const gguf::File draft_file, gguf::File::open(wish.draft));
            const SessionShape shape{.n_ctx = kContext, .n_batch = 128};
            ATLAS_TRY(const auto draft_model, Model::load(draft_file, *made->backend_, shape));
            ATLAS_TRY(auto runner, StepRunner::create(draft_model, shape, Serves::one));
            std::vector<std::unique_ptr<Speculator>> both;
            both.push_back(std::make_unique<LookupSpeculator>());
            both.push_back(std::make_unique<DraftModel>(std::move(runner), made->model_->config().n_vocab));
            made->speculators_.emplace("lookup and draft", Speculators(std::move(both), kBatchInvariantWidth - 1));
        }
        std::vector<std::unique_ptr<Speculator>> lookup;
        lookup.push_back(std::make_unique<LookupSpeculator>());
        made->speculators_.emplace("lookup", Speculators(std::move(lookup), kBatchInvariantWidth - 1));
        for (TokenId token = 0; token < made->tokenizer_->n_vocab(); ++token) {
            if (made->tokenizer_->is_end_of_generation(token)) made->end_tokens_.push_back(token);
        }
        made->n_tokens_ = wish.n_tokens;
        std::ifstream in(wish.text, std::ios::binary);
        made->prompts_ = cut_prompts(made->tokenizer_->encode(std::string(std::istreambuf_iterator<char>(in), {}),
                                                              {.add_special = true, .parse_special = false}),
                                     wish.n_prompts);
        return made;
    }

    size_t n_prompts() const { return prompts_.size(); }

    /// Prompts with these numbers, each with and without draft tokens.
    Result<void> compare(const std::string& kv_name, std::span<const size_t> numbers) {
        ATLAS_TRY(const KvFormats kv, format_of(kv_name));
        ATLAS_TRY(auto answers, answers_without(kv, numbers));
        ATLAS_TRY(
            const auto session,
            Session::create(model_,
                            {.n_ctx = kContext, .n_batch = 128, .max_outputs = kBatchInvariantWidth, .kv_format = kv}));
        for (auto& [who, speculators] : speculators_) {
            Figures& sum = figures_[who][kv_name];
            for (size_t i = 0; i < numbers.size(); ++i) {
                speculators.length().fix_width(kWidths[numbers[i] % kWidths.size()]);
                ATLAS_TRY(const Figures one, compare_one(*session, numbers[i], speculators, answers[i]));
                sum.add(one);
            }
        }
        return {};
    }

    void print() const {
        for (const auto& [who, of_kv] : figures_) {
            Figures all;
            for (const auto& [kv, f] : of_kv) {
                print_line(who, kv, f);
                all.add(f);
            }
            print_line(who, "all", all);
        }
        std::fflush(stdout);
    }

  private:
    static void print_line(const std::string& who, const std::string& kv, const Figures& f) {
        fmt::print(
            "{}, KV {}: {} prompts, {} tokens the same; {} blocks, {} of {} draft tokens accepted; "
            "{} decided by decoding alone\n",
            who, kv, f.n_prompts, f.n_tokens, f.n_blocks, f.n_accepted, f.n_draft_tokens, f.n_decided_alone);
    }

    Result<std::vector<std::vector<TokenId>>> answers_without(KvFormats kv, std::span<const size_t> numbers) {
        ATLAS_TRY(const auto engine, Engine::create(model_, {.pool_tokens = kGroup * kContext,
                                                             .n_ctx = kContext,
                                                             .n_batch = 512,
                                                             .max_outputs = kGroup,
                                                             .max_timelines = kGroup,
                                                             .kv_format = kv}));
        std::map<RequestId, size_t> places;
        for (size_t i = 0; i < numbers.size(); ++i) {
            EngineRequest request;
            request.prompt = prompts_[numbers[i]];
            request.sampler.temperature = 0;
            request.max_tokens = n_tokens_;
            request.end_tokens = end_tokens_;
            ATLAS_TRY(const RequestId id, engine->submit(std::move(request)));
            places[id] = i;
        }
        while (!engine->is_idle()) ATLAS_TRY_VOID(engine->step());
        std::vector<std::vector<TokenId>> answers(numbers.size());
        for (EngineResult& result : engine->take_finished()) {
            if (result.error) return tl::unexpected(*result.error);
            answers[places.at(result.id)] = std::move(result.answer);
        }
        return answers;
    }

    Result<std::vector<TokenId>> answer_alone(Session& session, size_t number, Speculators* speculation,
                                              Figures& figures) {
        GenerateOptions options;
        options.sampler.temperature = 0;
        options.max_tokens = n_tokens_;
        options.speculation = speculation;
        session.rewind(0);
        ATLAS_TRY(const GenerateReport report, generate(session, tokenizer_, prompts_[number], options, {}));
        // Where max_tokens ended the answer, its last token is chosen and not in the timeline: the text has it.
        const auto& tokens = session.tokens();
        figures.n_tokens = report.answer_tokens;
        if (report.speculation) {
            figures.n_blocks = report.speculation->n_blocks;
            figures.n_draft_tokens = report.speculation->n_draft_tokens;
            figures.n_accepted = report.speculation->n_accepted;
        }
        texts_ = report.text;
        return std::vector<TokenId>(tokens.begin() + std::ptrdiff_t(prompts_[number].size()), tokens.end());
    }

    bool same(const std::vector<TokenId>& in_timeline, const Figures& figures,
              const std::vector<TokenId>& answer) const {
        return figures.n_tokens == answer.size() && in_timeline.size() <= answer.size() &&
               in_timeline.size() + 1 >= answer.size() &&
               std::equal(in_timeline.begin(), in_timeline.end(), answer.begin()) &&
               texts_ == tokenizer_->decode(answer);
    }

    Result<Figures> compare_one(Session& session, size_t number, Speculators& speculators,
                                std::vector<TokenId>& answer) {
        Figures figures{.n_prompts = 1};
        ATLAS_TRY(const auto drafted, answer_alone(session, number, &speculators, figures));
        if (same(drafted, figures, answer)) return figures;
        const std::string inferred_text = texts_;
        Figures plain_figures;
        ATLAS_TRY(const auto plain, answer_alone(session, number, nullptr, plain_figures));
        if (plain != drafted || texts_ != inferred_text || plain_figures.n_tokens != figures.n_tokens) {
            return fail(ErrorCode::corrupt,
                        "prompt {} of {}: another answer with draft tokens\n--- without\n{}\n--- with\n{}", number,
                        prompts_.size(), texts_, inferred_text);
        }
        figures.n_decided_alone = 1;
        return figures;
    }

    std::shared_ptr<const Tokenizer> tokenizer_;
    std::unique_ptr<VkBackend> backend_;
    std::shared_ptr<const Model> model_;
    std::map<std::string, Speculators> speculators_;
    std::vector<TokenId> end_tokens_;
    std::vector<std::vector<TokenId>> prompts_;
    uint32_t n_tokens_ = 0;
    std::string texts_;
    std::map<std::string, std::map<std::string, Figures>> figures_;
};

Result<void> compare_all(const Wish& wish) {
    ATLAS_TRY(const auto comparison, Comparison::create(wish));
    std::vector<std::string> formats;
    std::istringstream in(wish.kv);
    for (std::string name; std::getline(in, name, ',');) formats.push_back(name);
    // Four prompts of every format, then the next four of every format: a run that is stopped early has covered all
    // formats.
    for (size_t first = 0; first < comparison->n_prompts(); first += kGroup * formats.size()) {
        for (size_t f = 0; f < formats.size(); ++f) {
            std::vector<size_t> numbers;
            for (size_t i = 0; i < kGroup; ++i) {
                const size_t number = first + i * formats.size() + f;
                if (number < comparison->n_prompts()) numbers.push_back(number);
            }
            if (numbers.empty()) continue;
            ATLAS_TRY_VOID(comparison->compare(formats[f], numbers));
            fmt::print("--- {}\n", formats[f]);
            comparison->print();
        }
    }
    return {};
}

}  // namespace
}  // namespace atlas

int main(int argc, char** argv) {
    const auto argument = [&](int i, const char* otherwise) { return std::string(i < argc ? argv[i] : otherwise); };
    if (argc < 3) {
        fmt::print(stderr, "speculation_exact MODEL TEXT [N_PROMPTS N_TOKENS KV,KV,... DRAFT_MODEL DEVICE]\n");
        return 2;
    }
    const atlas::Wish wish{.model = argv[1],
                           .text = argv[2],
                           .kv = argument(5, "f16,f32,bf16,q8_0,q8_0+none,q5_1,q5_0,q4_1,q4_0,q4_0+none"),
                           .draft = argument(6, ""),
                           .device = argument(7, ""),
                           .n_prompts = static_cast<uint32_t>(std::atoi(argument(3, "200").c_str())),
                           .n_tokens = static_cast<uint32_t>(std::atoi(argument(4, "128").c_str()))};
    const auto done = atlas::compare_all(wish);
    if (!done) fmt::print(stderr, "speculation_exact: {}\n", done.error().message);
    return done ? 0 : 1;
}
