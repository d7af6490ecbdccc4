#include "runtime/text/bpe.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "runtime/base/check.h"
#include "runtime/base/in_quotes.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/infer_pre_tokenizer.h"
#include "runtime/text/merger.h"
#include "runtime/text/numbered_merges.h"
#include "runtime/text/splitter.h"
#include "runtime/text/vocabulary_tokenizer.h"

namespace atlas {
namespace {

class BpeTokenizer final : public VocabularyTokenizer {
  public:
    BpeTokenizer(Vocabulary source, MergeTable merges, const PreTokenizer& pre)
        : VocabularyTokenizer(std::move(source), pre.add_bos, pre.add_eos),
          merges_(std::move(merges)),
          splitter_(pre.patterns),
          normalization_(pre.normalization) {
        const auto& characters = byte_alphabet();
        for (unsigned byte = 0; byte < 256; ++byte) {
            byte_symbols_[byte] = vocabulary().find(characters[byte]).value_or(kNoToken);
            has_holes_ |= byte_symbols_[byte] == kNoToken;
        }
        if (pre.ignore_merges) index_whole_words();
    }

    bool strips_first_space() const override { return false; }

  protected:
    void encode_plain(std::string_view text, bool, std::vector<TokenId>& tokens) const override {
        ATLAS_CHECK(text.size() < UINT32_MAX, "text of {} bytes in one call", text.size());
        std::string composed;
        text = normalize(text, normalization_, composed);
        std::vector<size_t> word_bytes;
        splitter_.split(text, word_bytes);
        Merger<TokenId> merger;
        for (const size_t bytes : word_bytes) {
            encode_word(text.substr(0, bytes), merger, tokens);
            text.remove_prefix(bytes);
        }
    }

    std::string plain_piece(TokenId token) const override {
        const std::string& spelling = vocabulary().spellings[token];
        auto bytes = bytes_of_spelling(spelling);
        return bytes ? std::move(*bytes) : spelling;
    }

  private:
    static constexpr TokenId kNoToken = UINT32_MAX;

    void index_whole_words() {
        for (TokenId id = 0; id < n_vocab(); ++id) {
            if (vocabulary().kinds[id] != TokenKind::normal) continue;  // a word of the text is never a control token
            if (auto bytes = bytes_of_spelling(vocabulary().spellings[id]); bytes && !bytes->empty())
                words_.insert_or_assign(std::move(*bytes), id);
        }
    }

    void encode_word(std::string_view word, Merger<TokenId>& merger, std::vector<TokenId>& tokens) const {
        if (!words_.empty()) {
            // std::string: C++20 look-up by view needs a transparent hash, and few models come here.
            const auto whole = words_.find(std::string(word));
            if (whole != words_.end()) {
                tokens.push_back(whole->second);
                return;
            }
        }
        const size_t begin = tokens.size();
        for (const char c : word) tokens.push_back(byte_symbols_[static_cast<unsigned char>(c)]);
        const auto symbols = std::span(tokens).subspan(begin);
        const size_t left = merger.merge(symbols, [this](TokenId a, TokenId b) {
            const Merge merge = merges_.find(a, b);
            return std::pair(merge.rank, merge.result);
        });
        tokens.resize(begin + left);
        // Bytes without a token.
        if (has_holes_)
            tokens.erase(std::remove(tokens.begin() + static_cast<ptrdiff_t>(begin), tokens.end(), kNoToken),
                         tokens.end());
    }

    MergeTable merges_;
    Splitter splitter_;
    Normalization normalization_;
    std::array<TokenId, 256> byte_symbols_{};
    std::unordered_map<std::string, TokenId> words_;
    bool has_holes_ = false;
};

std::string known_names() {
    std::string names;
    for (const PreTokenizer& row : pre_tokenizers()) names.append(names.empty() ? "" : " ").append(row.names);
    return names;
}

// The row that the file names, or else the one inferred from its tables, with a note.
Result<const PreTokenizer*> choose_pre_tokenizer(Vocabulary& vocabulary) {
    if (!vocabulary.pre.empty()) {
        const PreTokenizer* named = find_pre_tokenizer(vocabulary.pre);
        if (named == nullptr)
            return fail(ErrorCode::unsupported, "tokenizer.ggml.pre: unknown pre-tokenizer {}; known: {}",
                        in_quotes(vocabulary.pre), known_names());
        return named;
    }
    const InferredPreTokenizer inferred = infer_pre_tokenizer(vocabulary);
    vocabulary.notes.push_back(
        fmt::format("the file does not name its pre-tokenizer (tokenizer.ggml.pre is missing); '{}' is used: {}",
                    inferred.name, inferred.reason));
    return find_pre_tokenizer(inferred.name);
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> make_bpe_tokenizer(Vocabulary vocabulary) {
    if (vocabulary.merges.empty())
        return fail(ErrorCode::not_found, "tokenizer.ggml.merges: missing; a byte-level BPE vocabulary needs it");
    ATLAS_TRY(const PreTokenizer* pre, choose_pre_tokenizer(vocabulary));
    ATLAS_TRY(auto merges, number_merges(vocabulary));
    return std::make_shared<const BpeTokenizer>(std::move(vocabulary), std::move(merges), *pre);
}

}  // namespace atlas
