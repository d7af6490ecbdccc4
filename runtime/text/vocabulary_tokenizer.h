#pragma once
// What the tokenizers of all kinds share: the vocabulary, its special tokens, and BOS and EOS.

#include "runtime/text/special_tokens.h"
#include "runtime/text/tokenizer.h"
#include "runtime/text/vocabulary.h"

namespace atlas {

class VocabularyTokenizer : public Tokenizer {
  public:
    /// `add_bos` and `add_eos` hold where the file says nothing.
    VocabularyTokenizer(Vocabulary vocabulary, bool add_bos, bool add_eos);

    std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const final;
    std::string piece(TokenId token, bool special) const final;
    uint32_t n_vocab() const final { return vocabulary_.n_vocab(); }
    std::optional<TokenId> bos() const final { return vocabulary_.bos; }
    std::optional<TokenId> eos() const final { return vocabulary_.eos; }
    bool is_end_of_generation(TokenId token) const final;
    bool is_control(TokenId token) const final { return vocabulary_.is_control(token); }
    std::optional<TokenId> find(std::string_view spelling) const final { return vocabulary_.find(spelling); }

    const std::vector<std::string>& notes() const final { return vocabulary_.notes; }

  protected:
    /// Appends the tokens of plain text. `begins`: it is the first of the text or follows a special token.
    virtual void encode_plain(std::string_view text, bool begins, std::vector<TokenId>& tokens) const = 0;
    /// The bytes of a token that is neither control, unknown nor user-defined.
    virtual std::string plain_piece(TokenId token) const = 0;

    const Vocabulary& vocabulary() const { return vocabulary_; }

  private:
    Vocabulary vocabulary_;
    SpecialTokens special_tokens_;
    bool add_bos_, add_eos_;
};

}  // namespace atlas
