#include "runtime/text/plain_bpe.h"

#include <algorithm>
#include <array>

#include "runtime/base/check.h"
#include "runtime/text/marked_text.h"
#include "runtime/text/merger.h"
#include "runtime/text/numbered_merges.h"
#include "runtime/text/vocabulary_tokenizer.h"

namespace atlas {
namespace {

constexpr TokenId kNoToken = UINT32_MAX;

class PlainBpeTokenizer final : public VocabularyTokenizer {
  public:
    PlainBpeTokenizer(Vocabulary source, MergeTable merges)
        : VocabularyTokenizer(std::move(source), true, false), merges_(std::move(merges)) {
        for (unsigned byte = 0; byte < 256; ++byte)
            byte_tokens_[byte] = byte_token(vocabulary(), byte).value_or(vocabulary().unknown.value_or(kNoToken));
    }

    bool strips_first_space() const override { return false; }

  protected:
    // Runs of line ends are words of their own; no merge leads from one to what is beside it.
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& tokens) const override {
        std::string marked;
        append_marked(text, marked);
        ATLAS_CHECK(marked.size() < UINT32_MAX, "text of {} bytes in one call", text.size());
        Merger<TokenId> merger;
        for (std::string_view rest = marked; !rest.empty();) {
            const size_t end = rest[0] == '\n' ? rest.find_first_not_of('\n') : rest.find('\n');
            encode_word(rest.substr(0, end), merger, tokens);
            rest.remove_prefix(std::min(end, rest.size()));
        }
    }

    std::string plain_piece(TokenId token) const override { return text_of_marked(vocabulary(), token); }

  private:
    // Control tokens and their like are no text: what was typed so stays characters.
    TokenId find_text(std::string_view character) const {
        const auto token = vocabulary().find(character);
        if (!token) return kNoToken;
        const TokenKind kind = vocabulary().kinds[*token];
        return kind == TokenKind::normal || kind == TokenKind::user_defined ? *token : kNoToken;
    }

    void encode_word(std::string_view word, Merger<TokenId>& merger, std::vector<TokenId>& tokens) const {
        const size_t begin = tokens.size();
        while (!word.empty()) {
            const std::string_view character = word.substr(0, character_bytes(word));
            word.remove_prefix(character.size());
            if (const TokenId token = find_text(character); token != kNoToken) {
                tokens.push_back(token);
                continue;
            }
            for (const char c : character) {
                if (const TokenId token = byte_tokens_[static_cast<unsigned char>(c)]; token != kNoToken)
                    tokens.push_back(token);
            }
        }
        const auto symbols = std::span(tokens).subspan(begin);
        const size_t left = merger.merge(symbols, [this](TokenId a, TokenId b) {
            const Merge merge = merges_.find(a, b);
            return std::pair(merge.rank, merge.result);
        });
        tokens.resize(begin + left);
    }

    MergeTable merges_;
    std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_plain_bpe_tokenizer(Vocabulary vocabulary) {
    if (vocabulary.merges.empty())
        return fail(ErrorCode::not_found, "tokenizer.ggml.merges: missing; a BPE vocabulary needs it");
    ATLAS_TRY(auto merges, number_merges(vocabulary));
    return std::make_shared<const PlainBpeTokenizer>(std::move(vocabulary), std::move(merges));
}

}  // namespace atlas
