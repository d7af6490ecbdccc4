#include "runtime/text/end_of_generation.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace atlas {
namespace {

// Each ends an answer wherever it exists.
constexpr auto kEnds = std::to_array<std::string_view>({
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|calls|>", "<|flush|>", "<end_of_turn>", "<turn|>",
    "<|tool_response>", "<|endoftext|>", "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>", "<eos>", "[EOS]",
    "<EOT>", "_<EOT>", "[EOT]", "[e~[",
});

// Parts of fill-in-the-middle prompts. After the padding, repository and file separators a model has left the file it was to
// complete, so those end generation too; the others only delimit.
constexpr auto kFillEnds = std::to_array<std::string_view>({
    "<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>",
    "<|file_sep|>",
});
constexpr auto kFillParts = std::to_array<std::string_view>({
    "<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>", "<|code_prefix|>", "<|prefix|>",
    "<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>",  "<SUF>", "▁<SUF>", "<|code_suffix|>", "<|suffix|>",
    "<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>",   "<MID>", "▁<MID>", "<|code_middle|>", "<|middle|>",
});

}  // namespace

std::vector<TokenId> find_end_of_generation(Vocabulary& vocabulary, const std::vector<TokenId>& declared) {
    std::vector<TokenId> ends = declared;
    if (vocabulary.eos) ends.push_back(*vocabulary.eos);
    const auto mark = [&](std::string_view spelling, bool is_end) {
        const auto id = vocabulary.find(spelling);
        if (!id) return;
        vocabulary.kinds[*id] = TokenKind::control;
        if (is_end) ends.push_back(*id);
    };
    for (const auto spelling : kEnds) mark(spelling, true);
    for (const auto spelling : kFillEnds) mark(spelling, true);
    for (const auto spelling : kFillParts) mark(spelling, false);

    const auto has = [&](std::string_view spelling) { return vocabulary.find(spelling).has_value(); };
    // Gemma 4 has </s> as a tag of HTML.
    if (!has("<|tool_response>")) mark("</s>", true);
    // Harmony (gpt-oss, Solar): <|end|> closes one message of an answer that goes on until <|return|>, <|call|> or their like.
    const auto end = vocabulary.find("<|end|>");
    if (end && ((has("<|return|>") && has("<|call|>")) || (has("<|calls|>") && has("<|flush|>")))) std::erase(ends, *end);

    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ends;
}

}  // namespace atlas
