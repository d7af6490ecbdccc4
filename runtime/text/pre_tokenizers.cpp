// Sources: the tokenizer.json files of the models named; where a model's own expression and the behaviour of the
// programs that defined the GGUF names differ, the latter (tests/text/compare_with_peer checks it).
//
// Rules for a pattern: repetitions that end an alternative are possessive or of a single class, so that no text,
// however long, makes the matcher go back over it twice. \s is White_Space (splitter.cpp).

#include "runtime/text/pre_tokenizers.h"

#include <algorithm>
#include <array>

namespace atlas {
namespace {

// Parts that many models share, as literals so that the table below is data.
// English contractions in either case, as in GPT-4's pattern.
#define CONTRACTION "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
// Line ends with the spaces before them, spaces but for the one that belongs to the next word, spaces at the end.
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT4(digits) CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
// Words that end where small letters are followed by a capital (GPT-4o). The models say "letters but lower case" and
// "letters but upper case"; the programs that named the tokenizers look at a-z and A-Z alone.
#define CAMEL(not_small, not_big, contraction)                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?" not_small "*" not_big "+" contraction "|[^\\r\\n\\p{L}\\p{N}]?" not_small "+" not_big \
    "*" contraction
#define LETTERS_CAMEL(contraction) CAMEL("[^\\P{L}a-z]", "[^\\P{L}A-Z]", contraction)
// Letters and marks: what is of no other category.
#define LETTERS_MARKS_CAMEL(contraction) \
    CAMEL("[^\\p{C}\\p{N}\\p{P}\\p{S}\\p{Z}a-z]", "[^\\p{C}\\p{N}\\p{P}\\p{S}\\p{Z}A-Z]", contraction)
#define GPT4O(words, digits) words "|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
// The same without regard to case, where the programs that named the tokenizers do not look at it.
#define LETTERS_MARKS "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]++(?:" CONTRACTION ")?"
#define ASCII_SYMBOL "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define DEEPSEEK_V3 \
    ASCII_SYMBOL "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|" SPACES
#define SENTENCE_ENDS " ?[^(\\s|.,!?…。，、।۔،)]+"
// White space is not ideographic, though U+3000 and others lie in the range U+0800 to U+4E00.
#define IDEOGRAPHIC "(?:(?!\\s)[一-龥ࠀ-一가-퟿])+"

constexpr SplitPattern kGpt2[] = {GPT2};
constexpr SplitPattern kDigitsGpt2[] = {"\\p{N}", GPT2};
constexpr SplitPattern kDefault[] = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"};
constexpr SplitPattern kFalcon[] = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"};
constexpr SplitPattern kLlama3[] = {GPT4("\\p{N}{1,3}")};
constexpr SplitPattern kQwen2[] = {GPT4("\\p{N}")};
constexpr SplitPattern kQwen35[] = {
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES};
constexpr SplitPattern kDeepseekCoder[] = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", IDEOGRAPHIC, "\\p{N}"};
constexpr SplitPattern kDeepseekLlm[] = {
    "[\\r\\n]",
    // Cased letters as of Unicode 11.
    "\\s?["
    "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{"
    "370}-\\x{373}"
    "\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{"
    "3f7}-\\x{481}"
    "\\x{48a}-\\x{52f}\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}\\x{"
    "1cbd}-\\x{1cbf}"
    "\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}"
    "\\x{1f48}-\\x{1f4d}"
    "\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}"
    "\\x{1fc2}-\\x{1fc4}"
    "\\x{1fc6}-\\x{1fcc}\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}"
    "\\x{2102}"
    "\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-"
    "\\x{2134}\\x{2139}"
    "\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-"
    "\\x{2cee}"
    "\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}"
    "\\x{ab70}-\\x{abbf}"
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{"
    "104d3}\\x{104d8}-\\x{104fb}"
    "\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}"
    "]+",
    "\\s?(?:(?!\\s)[!-/:-~！-／：-～‘-‟　-。])+", "\\s+$", IDEOGRAPHIC, "\\p{N}+"};
constexpr SplitPattern kDeepseekV3[] = {"\\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK_V3};
constexpr SplitPattern kBloom[] = {SENTENCE_ENDS};
constexpr SplitPattern kViking[] = {SENTENCE_ENDS, "\\p{N}"};
constexpr SplitPattern kTekken[] = {GPT4O(LETTERS_CAMEL(""), "\\p{N}")};
constexpr SplitPattern kGpt4o[] = {GPT4O(LETTERS_CAMEL("(?:" CONTRACTION ")?"), "\\p{N}{1,3}")};
constexpr SplitPattern kChameleon[] = {"<sentinel:[0-9]+>",      "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
                                       "([\\t\\n]|    |  )",     "\\p{N}",
                                       "[\\p{P}!-/:-@\\[-`{-~]", GPT2};
constexpr SplitPattern kJais2[] = {
    CONTRACTION
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|"
    "\\s{128}(?!\\S)|\\s{64}(?!\\S)|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s{1}"};
constexpr SplitPattern kExaoneMoe[] = {CONTRACTION
                                       "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*+(?: \\p{L}\\p{M}*+)*+)++|\\p{N}| "
                                       "?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|"
                                       "\\s+(?!\\S)|\\s+"};
constexpr SplitPattern kTinyAya[] = {{"\\p{N}++", SplitPattern::thousands_and_end}, GPT4O(LETTERS_MARKS, "\\p{N}+")};
constexpr SplitPattern kSuperBpe[] = {"\\p{N}+", {"[0-9]++", SplitPattern::thousands}};
constexpr SplitPattern kAfmoe[] = {
    {"\\p{N}++", SplitPattern::thousands_and_end},
    "[一-鿿㐀-䶿豈-\\x{faff}぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-\\x{e7f}\\x{e80}-\\x{eff}ក-\\x{17ff}က-"
    "႟ꩠ-ꩿꧠ-\\x{a9ff}가-\\x{d7af}ᄀ-ᇿ]+",
    DEEPSEEK_V3};
// Ideographs of the blocks of that name stand in runs of their own.
#define HAN                                                                                                          \
    "\\x{3400}-\\x{4dbf}\\x{4e00}-\\x{9fff}\\x{f900}-\\x{faff}\\x{20000}-\\x{2a6df}\\x{2a700}-\\x{2b73f}\\x{2b740}-" \
    "\\x{2b81f}\\x{2b820}-\\x{2ceaf}"                                                                                \
    "\\x{2ceb0}-\\x{2ebef}\\x{2f800}-\\x{2fa1f}"
constexpr SplitPattern kKimiK2[] = {"[" HAN "]+|[^\\r\\n\\p{L}\\p{N}]?[^\\P{L}" HAN "]++(?:" CONTRACTION
                                    ")?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES};
constexpr SplitPattern kYoutu[] = {
    "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+",
    GPT4O(LETTERS_MARKS, "\\p{N}")};
constexpr SplitPattern kLaguna[] = {"\\n+", GPT4("\\p{N}")};
constexpr SplitPattern kMiniCpm5[] = {"\\p{N}{1,3}", GPT4("\\p{N}{1,3}")};
constexpr SplitPattern kGraniteEmbed[] = {GPT4O(LETTERS_MARKS_CAMEL("(?:" CONTRACTION ")?"), "\\p{N}{1,3}")};
constexpr SplitPattern kSeedCoder[] = {CONTRACTION
                                       "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES};

// The sources of the normalization: the normalizer of the models' tokenizer.json, and where those are made by a class
// of transformers 5.24, that class (Qwen2Tokenizer, Qwen3_5Tokenizer, GPTNeoXTokenizer, CohereTokenizer); the models'
// own tokenization_hy.py and tokenization_arcade100k.py. Published null or empty: gpt-2, phi-2, smollm, starcoder,
// refact, falcon, llama-bpe, deepseek-coder, deepseek-llm, deepseek-v3. Rows whose models publish what could not be
// looked up cut text as it was typed.
constexpr auto kAsTyped = Normalization::none;
constexpr auto kNfc = Normalization::nfc;

constexpr auto kTable = std::to_array<PreTokenizer>({
    {"default", kDefault},
    {"gpt-2 phi-2 jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code "
     "roberta-bpe "
     "gigachat a.x-4.0 mellum exaone4",
     kGpt2},
    {"mpt olmo modern-bert", kGpt2, kNfc},
    {"smollm starcoder refact codeshell exaone minerva-7b mellum2", kDigitsGpt2},
    {"command-r", kDigitsGpt2, kNfc},
    {"llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", kLlama3, kAsTyped, true, true},
    {"glm4 glm5", kLlama3, kAsTyped, true},
    {"chatglm-bpe dbrx smaug-bpe", kLlama3},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan f2llmv2", kQwen2, kNfc},
    {"kormo megrez bailingmoe bailingmoe2 llada-moe grok-2 solar-open", kQwen2},
    {"qwen35", kQwen35, kNfc},
    {"falcon", kFalcon},
    {"deepseek-coder", kDeepseekCoder},
    {"deepseek-v3 hunyuan-dense joyai-llm", kDeepseekV3},
    {"bloom poro-chat gpt3-finnish", kBloom},
    {"viking", kViking},
    {"tekken", kTekken, kAsTyped, true, true},
    {"gpt-4o llama4 kanana2 minimax-m2 talkie", kGpt4o},
    {"chameleon", kChameleon, kAsTyped, false, true},
    {"seed-coder", kSeedCoder},
    {"deepseek-llm", kDeepseekLlm},
    {"jais-2", kJais2},
    {"exaone-moe", kExaoneMoe},
    {"tiny_aya", kTinyAya, kNfc},
    {"superbpe", kSuperBpe},
    {"afmoe", kAfmoe},
    {"kimi-k2", kKimiK2},
    {"youtu", kYoutu, kAsTyped, true},
    {"laguna", kLaguna},
    {"minicpm5", kMiniCpm5, kAsTyped, true},
    {"granite-embed-multi-97m", kGraniteEmbed, kAsTyped, true},
});

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
