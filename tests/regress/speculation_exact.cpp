// speculation_exact MODEL TEXT [N_PROMPTS N_TOKENS KV DRAFT_MODEL DEVICE]: greedy answers with guesses against answers without, token for token.
// Prompts of 24 to 87 tokens are cut from TEXT. Prints one line of figures, or the first prompt that differs, and then exits with 1.
#include <cstdlib>
#include <fstream>

#include "runtime/gguf/reader.h"
#include "runtime/kernels/vk_backend.h"
#include "runtime/serve/generation.h"
#include "runtime/session/draft_model.h"
#include "runtime/session/lookup.h"

namespace atlas {
namespace {

struct Wish {
    std::string model, text, kv = "f16", draft, device;
    uint32_t n_prompts = 200, n_tokens = 128;
};

std::vector<std::vector<TokenId>> cut_prompts(const std::vector<TokenId>& tokens, uint32_t n) {
    std::vector<std::vector<TokenId>> prompts;
    for (uint32_t i = 0; i < n; ++i) {
        const size_t length = 24 + (i * 37) % 64;
        const size_t at = tokens.size() > length ? size_t{i} * 7919 % (tokens.size() - length) : 0;
        prompts.emplace_back(tokens.begin() + std::ptrdiff_t(at), tokens.begin() + std::ptrdiff_t(std::min(tokens.size(), at + length)));
    }
    return prompts;
}

Result<void> compare(const Wish& wish) {
    ATLAS_TRY(const gguf::File file, gguf::File::open(wish.model));
    ATLAS_TRY(const auto tokenizer, Tokenizer::load(file));
    VkBackendOptions options;
    options.device = wish.device;
    ATLAS_TRY(const auto backend, make_vk_backend(options));
    const auto format = format_from_name(wish.kv);
    if (!format) return fail(ErrorCode::invalid_argument, "KV cache of {}?", wish.kv);
    const SessionShape shape{.n_ctx = 256, .n_batch = 128, .max_outputs = kMostTokensAlike, .kv_format = *format};
    ATLAS_TRY(const auto model, Model::load(file, *backend, shape));
    ATLAS_TRY(const auto session, Session::create(model, shape));
    std::vector<std::unique_ptr<Speculator>> who;
    who.push_back(std::make_unique<LookupSpeculator>());
    if (!wish.draft.empty()) {
        ATLAS_TRY(const gguf::File draft_file, gguf::File::open(wish.draft));
        const SessionShape draft_shape{.n_ctx = 256, .n_batch = 128};
        ATLAS_TRY(const auto draft_model, Model::load(draft_file, *backend, draft_shape));
        ATLAS_TRY(auto draft_session, Session::create(draft_model, draft_shape));
        who.push_back(std::make_unique<DraftModel>(std::move(draft_session), model->config().n_vocab));
    }
    Speculators speculators(std::move(who), kMostTokensAlike - 1);

    std::ifstream in(wish.text, std::ios::binary);
    const auto prompts = cut_prompts(tokenizer->encode(std::string(std::istreambuf_iterator<char>(in), {}), {.add_special = true, .parse_special = false}),
                                     wish.n_prompts);
    GenerateOptions plain;
    plain.sampler.temperature = 0;
    plain.max_tokens = wish.n_tokens;
    GenerateOptions guessed = plain;
    guessed.speculation = &speculators;
    SpeculationFigures sum;
    uint64_t n_tokens = 0;
    for (size_t i = 0; i < prompts.size(); ++i) {
        // Every width has its turn, whatever the clock says.
        speculators.length().fix_width(std::array<uint32_t, 6>{4, 8, 24, 3, 16, 2}[i % 6]);
        ATLAS_TRY(const GenerateReport a, generate(*session, tokenizer, prompts[i], plain, {}));
        const auto expected = session->tokens();
        session->rewind(0);
        ATLAS_TRY(const GenerateReport b, generate(*session, tokenizer, prompts[i], guessed, {}));
        if (session->tokens() != expected || a.text != b.text || a.finish != b.finish) {
            return fail(ErrorCode::corrupt, "prompt {} of {}: another answer with guesses", i, prompts.size());
        }
        n_tokens += a.answer_tokens;
        sum.n_blocks += b.speculation->n_blocks;
        sum.n_guesses += b.speculation->n_guesses;
        sum.n_accepted += b.speculation->n_accepted;
    }
    fmt::print("{} prompts, {} tokens, KV {}, {}: the same; {} blocks, {} of {} guesses right\n", prompts.size(), n_tokens, wish.kv,
               wish.draft.empty() ? "lookup" : "lookup and draft", sum.n_blocks, sum.n_accepted, sum.n_guesses);
    return {};
}

}  // namespace
}  // namespace atlas

int main(int argc, char** argv) {
    const auto argument = [&](int i, const char* otherwise) { return std::string(i < argc ? argv[i] : otherwise); };
    if (argc < 3) {
        fmt::print(stderr, "speculation_exact MODEL TEXT [N_PROMPTS N_TOKENS KV DRAFT_MODEL DEVICE]\n");
        return 2;
    }
    const atlas::Wish wish{.model = argv[1],
                           .text = argv[2],
                           .kv = argument(5, "f16"),
                           .draft = argument(6, ""),
                           .device = argument(7, ""),
                           .n_prompts = static_cast<uint32_t>(std::atoi(argument(3, "200").c_str())),
                           .n_tokens = static_cast<uint32_t>(std::atoi(argument(4, "128").c_str()))};
    const auto done = atlas::compare(wish);
    if (!done) fmt::print(stderr, "speculation_exact: {}\n", done.error().message);
    return done ? 0 : 1;
}
