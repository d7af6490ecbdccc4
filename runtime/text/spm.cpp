#include "runtime/text/spm.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/base/check.h"
#include "runtime/text/marked_text.h"
#include "runtime/text/merger.h"
#include "runtime/text/vocabulary_tokenizer.h"

namespace atlas {
namespace {

constexpr std::string_view kSpace = kSpaceMark;
constexpr TokenId kNoToken = UINT32_MAX;

class SpmTokenizer final : public VocabularyTokenizer {
  public:
    explicit SpmTokenizer(Vocabulary source) : VocabularyTokenizer(std::move(source), true, false) {
        space_prefix_ = vocabulary().add_space_prefix.value_or(true);
        rank_by_score();
        for (unsigned byte = 0; byte < 256; ++byte) {
            auto token = byte_token(vocabulary(), byte);
            if (!token) token = vocabulary().find(std::string(1, static_cast<char>(byte)));
            if (!token) token = vocabulary().unknown;
            byte_tokens_[byte] = token.value_or(kNoToken);
        }
        for (const std::string& spelling : vocabulary().spellings) {
            longest_bytes_ = std::max(longest_bytes_, spelling.size());
            for (size_t at = 0; (at = spelling.find(kSpace, at)) != std::string::npos; at += kSpace.size())
                if (at > 0 && !spelling.substr(0, at).ends_with(kSpace)) words_can_join_ = true;
        }
    }

    bool strips_first_space() const override { return space_prefix_; }

  protected:
    void encode_plain(std::string_view text, bool begins, std::vector<TokenId>& tokens) const override {
        std::string spelt;
        if (space_prefix_ && begins) spelt = kSpace;
        append_marked(text, spelt);
        ATLAS_CHECK(spelt.size() < UINT32_MAX, "text of {} bytes in one call", text.size());
        Merger<Piece> merger;
        std::vector<Piece> pieces;
        for (std::string_view rest = spelt; !rest.empty();) {
            const size_t bytes = words_can_join_ ? rest.size() : word_bytes(rest);
            encode_word(rest.substr(0, bytes), merger, pieces, tokens);
            rest.remove_prefix(bytes);
        }
    }

    std::string plain_piece(TokenId token) const override { return text_of_marked(vocabulary(), token); }

  private:
    // A stretch of the word and its token, if it is one.
    struct Piece {
        uint32_t offset = 0, bytes = 0;
        TokenId token = kNoToken;
    };

    void rank_by_score() {
        const auto& scores = vocabulary().scores;
        std::vector<float> order(scores);
        std::sort(order.begin(), order.end(), std::greater<>());
        order.erase(std::unique(order.begin(), order.end()), order.end());
        ranks_.reserve(scores.size());
        for (const float score : scores)
            ranks_.push_back(static_cast<uint32_t>(
                std::lower_bound(order.begin(), order.end(), score, std::greater<>()) - order.begin()));
    }

    // The token that text of this spelling is. Control tokens, byte tokens and their like are none: "</s>" that was
    // typed stays four characters.
    TokenId find_text(std::string_view spelling) const {
        const auto token = vocabulary().find(spelling);
        if (!token) return kNoToken;
        const TokenKind kind = vocabulary().kinds[*token];
        return kind == TokenKind::normal || kind == TokenKind::user_defined ? *token : kNoToken;
    }

    // Where no token has a space inside, nothing merges across the beginning of a word, and words are small.
    static size_t word_bytes(std::string_view text) {
        size_t at = 0;
        while (text.substr(at).starts_with(kSpace)) at += kSpace.size();
        return std::min(text.find(kSpace, at), text.size());
    }

    void encode_word(std::string_view word, Merger<Piece>& merger, std::vector<Piece>& pieces,
                     std::vector<TokenId>& tokens) const {
        pieces.clear();
        for (size_t at = 0; at < word.size();) {
            const size_t bytes = character_bytes(word.substr(at));
            pieces.push_back(
                {static_cast<uint32_t>(at), static_cast<uint32_t>(bytes), find_text(word.substr(at, bytes))});
            at += bytes;
        }
        const size_t left = merger.merge(std::span(pieces), [&](const Piece& a, const Piece& b) {
            Piece both{a.offset, a.bytes + b.bytes, kNoToken};
            if (both.bytes <= longest_bytes_) both.token = find_text(word.substr(both.offset, both.bytes));
            return std::pair(both.token == kNoToken ? Merger<Piece>::kNoMerge : ranks_[both.token], both);
        });
        for (const Piece& piece : std::span(pieces).first(left)) {
            if (piece.token != kNoToken) {
                tokens.push_back(piece.token);
                continue;
            }
            for (const char c : word.substr(piece.offset, piece.bytes)) {
                const TokenId token = byte_tokens_[static_cast<unsigned char>(c)];
                if (token != kNoToken) tokens.push_back(token);
            }
        }
    }

    bool space_prefix_ = true;
    bool words_can_join_ = false;
    size_t longest_bytes_ = 0;
    std::vector<uint32_t> ranks_;  // of each token: 0 has the highest score; equal scores share one
    std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_spm_tokenizer(Vocabulary vocabulary) {
    if (vocabulary.scores.empty())
        return fail(ErrorCode::corrupt, "tokenizer.ggml.scores: missing; an SPM vocabulary needs it");
    for (size_t i = 0; i < vocabulary.scores.size(); ++i)
        if (std::isnan(vocabulary.scores[i]))
            return fail(ErrorCode::corrupt, "tokenizer.ggml.scores: the score of token {} is not a number", i);
    return std::make_shared<const SpmTokenizer>(std::move(vocabulary));
}

}  // namespace atlas
