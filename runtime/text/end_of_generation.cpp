#include "runtime/text/end_of_generation.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace atlas {
namespace {

// Each ends an answer wherever it exists.
constexpr std::array<std::string_view, 24> kEnds = {
    "<|eot_id|>", "<|im_end|>",     "<|end|>",  "<|return|>",      "<|call|>",           "<|flush|>",
    "<|calls|>",  "<end_of_turn>",  "<|endoftext|>", "<|eom_id|>", "<EOT>",              "_<EOT>",
    "[EOT]",      "[EOS]",          "<|end_of_text|>", "<end_of_utterance>", "<eos>",    "</s>",
    "<｜end▁of▁sentence｜>", "<turn|>", "<|tool_response>", "<|im_sep_end|>", "<|endofturn|>", "<|end_of_turn|>",
};

// Parts of fill-in-the-middle prompts. After the padding, repository and file separators a model has left the file it was to
// complete, so those end generation too; the others only delimit.
struct FillToken {
    std::string_view spelling;
    bool ends;
};
constexpr std::array<FillToken, 31> kFill = {{
    {"<|fim_prefix|>", false}, {"<fim-prefix>", false}, {"<fim_prefix>", false}, {"<｜fim▁begin｜>", false}, {"<PRE>", false}, {"▁<PRE>", false}, {"<|code_prefix|>", false},
    {"<|fim_suffix|>", false}, {"<fim-suffix>", false}, {"<fim_suffix>", false}, {"<｜fim▁hole｜>", false},  {"<SUF>", false}, {"▁<SUF>", false}, {"<|code_suffix|>", false},
    {"<|fim_middle|>", false}, {"<fim-middle>", false}, {"<fim_middle>", false}, {"<｜fim▁end｜>", false},   {"<MID>", false}, {"▁<MID>", false}, {"<|code_middle|>", false},
    {"<|fim_pad|>", true},     {"<fim-pad>", true},     {"<fim_pad>", true},     {"<PAD>", true},
    {"<|fim_repo|>", true},    {"<|repo_name|>", true}, {"<fim-repo>", true},    {"<REPO>", true},           {"<reponame>", true}, {"<|file_sep|>", true},
}};

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
    for (const auto& token : kFill) mark(token.spelling, token.ends);

    // Harmony (gpt-oss): <|end|> closes one message of an answer that goes on until <|return|> or <|call|>.
    const auto end = vocabulary.find("<|end|>");
    if (end && vocabulary.find("<|return|>") && vocabulary.find("<|call|>")) std::erase(ends, *end);

    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ends;
}

}  // namespace atlas
