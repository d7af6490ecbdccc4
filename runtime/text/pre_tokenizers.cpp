// Sources: the tokenizer.json files of the models named; where a model's own expression and the behaviour of the programs that
// defined the GGUF names differ, the latter (tests/text/compare_with_peer checks it).
//
// Rules for a pattern: repetitions that end an alternative are possessive or of a single class, so that no text, however long,
// makes the matcher go back over it twice. \s is White_Space (splitter.cpp).

#include "runtime/text/pre_tokenizers.h"

#include <algorithm>
#include <array>

namespace atlas {
namespace {

using Patterns = std::string_view;

// English contractions in either case, as in GPT-4's pattern.
#define CONTRACTION "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
// The tail that most patterns since GPT-4 share: symbols, line ends, spaces before a word, spaces.
#define SYMBOLS_AND_SPACES " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT4(digits) CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "|" SYMBOLS_AND_SPACES

constexpr std::array<Patterns, 1> kGpt2 = {GPT2};
constexpr std::array<Patterns, 2> kDigitsGpt2 = {"\\p{N}", GPT2};
constexpr std::array<Patterns, 1> kLlama3 = {GPT4("\\p{N}{1,3}")};
constexpr std::array<Patterns, 1> kQwen2 = {GPT4("\\p{N}")};
constexpr std::array<Patterns, 1> kQwen35 = {
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};
constexpr std::array<Patterns, 4> kDefault = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"};
constexpr std::array<Patterns, 3> kFalcon = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"};

constexpr std::array<PreTokenizer, 6> kTable = {{
    {"default", kDefault},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de gigachat a.x-4.0 mellum modern-bert exaone4", kGpt2},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b", kDigitsGpt2},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2", kLlama3, true, true},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan megrez", kQwen2},
    {"qwen35", kQwen35},
}};

}  // namespace

std::span<const PreTokenizer> pre_tokenizers() { return kTable; }

const PreTokenizer* find_pre_tokenizer(std::string_view name) {
    for (const PreTokenizer& row : kTable) {
        for (std::string_view rest = row.names; !rest.empty();) {
            const size_t end = std::min(rest.find(' '), rest.size());
            if (rest.substr(0, end) == name) return &row;
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
    }
    return nullptr;
}

}  // namespace atlas
