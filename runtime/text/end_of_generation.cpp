#include "runtime/text/end_of_generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "runtime/base/in_quotes.h"
#include "runtime/text/token_origin.h"

namespace atlas {
namespace {

// Each ends an answer wherever it exists.
constexpr auto kEnds = std::to_array<std::string_view>({
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<turn|>",
    "<|tool_response>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "<eos>",
    "[EOS]",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[e~[",
});

// Parts of fill-in-the-middle prompts. After the padding, repository and file separators a model has left the file it
// was to complete, so those end generation too; the others only delimit.
constexpr auto kFillEnds = std::to_array<std::string_view>({
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
});
constexpr auto kFillParts = std::to_array<std::string_view>({
    "<|fim_prefix|>",  "<fim-prefix>",  "<fim_prefix>",    "<｜fim▁begin｜>", "<PRE>",           "▁<PRE>",
    "<|code_prefix|>", "<|prefix|>",    "<|fim_suffix|>",  "<fim-suffix>",    "<fim_suffix>",    "<｜fim▁hole｜>",
    "<SUF>",           "▁<SUF>",        "<|code_suffix|>", "<|suffix|>",      "<|fim_middle|>",  "<fim-middle>",
    "<fim_middle>",    "<｜fim▁end｜>", "<MID>",           "▁<MID>",          "<|code_middle|>", "<|middle|>",
});

// The special tokens among those that have a known spelling.
class KnownSpellings {
  public:
    explicit KnownSpellings(Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

    /// Nothing where no token is spelt so, or where it is ordinary text.
    std::optional<TokenId> find(std::string_view spelling) {
        const auto id = vocabulary_.find(spelling);
        if (!id) return std::nullopt;
        TokenKind& kind = vocabulary_.kinds[*id];
        if (kind == TokenKind::normal && is_mistyped(*id)) {
            kind = TokenKind::control;
            mistyped_.push_back(*id);
        }
        const bool special = kind == TokenKind::control || kind == TokenKind::user_defined;
        return special ? id : std::nullopt;
    }
    bool has(std::string_view spelling) { return find(spelling).has_value(); }
    bool has_control(std::string_view spelling) {
        const auto id = find(spelling);
        return id && vocabulary_.is_control(*id);
    }

    void tell() {
        if (mistyped_.empty()) return;
        vocabulary_.notes.push_back(
            fmt::format("tokenizer.ggml.token_type marks special tokens as normal ({} of "
                        "them, the first is {}), although no text encodes to them; they are treated as special",
                        mistyped_.size(), in_quotes(vocabulary_.spellings[mistyped_.front()])));
    }

  private:
    bool is_mistyped(TokenId id) {
        if (made_.empty()) made_ = tokens_made_of_text(vocabulary_);
        return !made_[id];
    }

    Vocabulary& vocabulary_;
    std::vector<bool> made_;  // filled when first needed
    std::vector<TokenId> mistyped_;
};

}  // namespace

std::vector<TokenId> find_end_of_generation(Vocabulary& vocabulary, const std::vector<TokenId>& declared) {
    std::vector<TokenId> ends = declared;
    if (vocabulary.eos) ends.push_back(*vocabulary.eos);
    KnownSpellings known(vocabulary);
    const auto add = [&](std::string_view spelling) {
        if (const auto id = known.find(spelling)) ends.push_back(*id);
    };
    for (const auto spelling : kEnds) add(spelling);
    for (const auto spelling : kFillEnds) add(spelling);
    for (const auto spelling : kFillParts) known.find(spelling);
    // Gemma has </s> as a tag of HTML, among its user-defined tokens.
    if (known.has_control("</s>")) add("</s>");

    // Harmony (gpt-oss, Solar): <|end|> closes one message of an answer that goes on until <|return|>, <|call|> or
    // their like.
    const auto end = known.find("<|end|>");
    if (end &&
        ((known.has("<|return|>") && known.has("<|call|>")) || (known.has("<|calls|>") && known.has("<|flush|>"))))
        std::erase(ends, *end);
    known.tell();

    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ends;
}

}  // namespace atlas
