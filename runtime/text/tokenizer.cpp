#include "runtime/text/tokenizer.h"

#include "runtime/base/in_quotes.h"
#include "runtime/gguf/file_error.h"
#include "runtime/text/bpe.h"
#include "runtime/text/plain_bpe.h"
#include "runtime/text/spm.h"
#include "runtime/text/vocabulary.h"

namespace atlas {

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const gguf::File& file) {
    auto vocabulary = read_vocabulary(file);
    if (!vocabulary) return gguf::fail_in_file(file.path(), std::move(vocabulary).error());
    const std::string model = vocabulary->model;
    const auto make = [&]() -> Result<std::shared_ptr<const Tokenizer>> {
        if (model == "gpt2") return make_bpe_tokenizer(std::move(*vocabulary));
        if (model == "llama") return make_spm_tokenizer(std::move(*vocabulary));
        if (model == "gemma4") return make_plain_bpe_tokenizer(std::move(*vocabulary));
        return fail(
            ErrorCode::unsupported,
            "tokenizer.ggml.model: unknown tokenizer {}; known: gpt2 (byte-level BPE), llama (SPM), gemma4 (BPE "
            "of characters)",
            in_quotes(model));
    };
    auto tokenizer = make();
    if (!tokenizer) return gguf::fail_in_file(file.path(), std::move(tokenizer).error());
    return tokenizer;
}

std::string Tokenizer::decode(std::span<const TokenId> tokens, bool special) const {
    std::string text;
    bool first = strips_first_space();
    for (const TokenId token : tokens) {
        const std::string bytes = piece(token, special);
        if (bytes.empty()) continue;  // a control token before the text
        text.append(bytes, first && bytes.front() == ' ' ? 1 : 0);
        first = false;
    }
    return text;
}

}  // namespace atlas
