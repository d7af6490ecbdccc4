#pragma once
// Text to token ids and back, from the vocabulary inside a GGUF file.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/error.h"
#include "runtime/gguf/reader.h"

namespace atlas {

using TokenId = uint32_t;

struct EncodeOptions {
    bool add_special = true;    // BOS / EOS as the file says
    bool parse_special = true;  // "<|im_start|>" in the text becomes its token; false: it is plain text
};

/// Immutable and safe to share between threads.
class Tokenizer {
  public:
    /// Fails: unsupported (model or pre-tokenizer unknown: named, with the known ones), corrupt (tables that disagree).
    static Result<std::shared_ptr<const Tokenizer>> load(const gguf::File& file);
    virtual ~Tokenizer() = default;

    virtual std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const = 0;
    /// The exact bytes of one token as they appear inside a text (may be part of a UTF-8 character). Control tokens
    /// give "" unless `special`.
    virtual std::string piece(TokenId token, bool special = false) const = 0;

    virtual uint32_t n_vocab() const = 0;
    virtual std::optional<TokenId> bos() const = 0;
    virtual std::optional<TokenId> eos() const = 0;
    /// True for every token that ends an answer: eos, eot, and what the file or its family marks as end of generation.
    virtual bool is_end_of_generation(TokenId token) const = 0;
    virtual bool is_control(TokenId token) const = 0;
    /// The token spelt exactly so ("<|im_end|>"), special or not.
    virtual std::optional<TokenId> find(std::string_view spelling) const = 0;

    /// What the user should know about this vocabulary, each a sentence: what the file leaves out and what was done
    /// about it. Mostly empty.
    virtual const std::vector<std::string>& notes() const = 0;

    /// All pieces joined; for SPM vocabularies the space that encoding added in front is removed again.
    std::string decode(std::span<const TokenId> tokens, bool special = false) const;
    /// Does decoding strip one space from the very first piece (SPM with a space prefix)?
    virtual bool strips_first_space() const = 0;
};

}  // namespace atlas
