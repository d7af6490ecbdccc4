#include "tools/foreign_flags.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {

namespace {

struct Spelling {
    std::string_view theirs;
    const char* ours;              // a flag with the same value
    std::string_view prefix = {};  // put in front of the value
};

constexpr std::array kSpellings = {
    Spelling{"--temp", "--temperature"},
    Spelling{"--ctx-size", "--ctx"},
    Spelling{"--n-ctx", "--ctx"},
    Spelling{"--num-ctx", "--ctx"},
    Spelling{"--n-predict", "--max-tokens"},
    Spelling{"--num-predict", "--max-tokens"},
    Spelling{"--max-new-tokens", "--max-tokens"},
    Spelling{"-s", "--seed"},
    Spelling{"-hf", "--model", "hf:"},
    Spelling{"-hfr", "--model", "hf:"},
    Spelling{"--hf-repo", "--model", "hf:"},
    Spelling{"-md", "--draft"},
    Spelling{"--model-draft", "--draft"},
    Spelling{"-sys", "--system"},
    Spelling{"--system-prompt", "--system"},
    Spelling{"-dev", "--device"},
    Spelling{"--reverse-prompt", "--stop"},
    Spelling{"-r", "--stop"},
};

struct Explained {
    std::string_view theirs;
    const char* instead;
};

constexpr const char* kAllLayers = "all layers run on the device, always; leave it out (--device chooses the device)";
constexpr const char* kCacheFormats = "say --kv KEYS:VALUES, for example --kv q8_0:q8_0";
constexpr const char* kNoThreads = "the model runs on the device; leave it out";
constexpr const char* kAlwaysSo = "it is always so; leave it out";
constexpr const char* kMapped =
    "model files are always mapped, and their pages are let go as the device gets them; leave it out";
constexpr const char* kNoBatch = "the program chooses it; leave it out";
constexpr const char* kTalk = "`atlas-vk chat` talks, `atlas-vk run` answers once";

constexpr std::array kExplained = {
    Explained{"-ngl", kAllLayers},
    Explained{"--n-gpu-layers", kAllLayers},
    Explained{"--gpu-layers", kAllLayers},
    Explained{"-ctk", kCacheFormats},
    Explained{"-ctv", kCacheFormats},
    Explained{"--cache-type-k", kCacheFormats},
    Explained{"--cache-type-v", kCacheFormats},
    Explained{"-t", kNoThreads},
    Explained{"--threads", kNoThreads},
    Explained{"-fa", kAlwaysSo},
    Explained{"--flash-attn", kAlwaysSo},
    Explained{"--mmap", kMapped},
    Explained{"--no-mmap", kMapped},
    Explained{"--no-display-prompt", kAlwaysSo},
    Explained{"-b", kNoBatch},
    Explained{"-ub", kNoBatch},
    Explained{"--batch-size", kNoBatch},
    Explained{"--ubatch-size", kNoBatch},
    Explained{"-cnv", kTalk},
    Explained{"-no-cnv", kTalk},
    Explained{"--conversation", kTalk},
    Explained{"-i", kTalk},
    Explained{"--interactive", kTalk},
};

// "--name=value" as its two parts.
struct Argument {
    std::string name;
    std::string value;
    bool has_value = false;
};

Argument parse(const std::string& text) {
    const size_t equals = text.starts_with("--") ? text.find('=') : std::string::npos;
    if (equals == std::string::npos) return {text, "", false};
    return {text.substr(0, equals), text.substr(equals + 1), true};
}

// Another argument that gives the same option as arguments[at], in our spelling or another program's; null: none does.
const std::string* given_also(const CLI::App& command, const std::vector<std::string>& arguments, size_t at,
                              const CLI::Option* option) {
    for (size_t i = 0; i < arguments.size() && arguments[i] != "--"; ++i) {
        const Argument argument = parse(arguments[i]);
        if (i == at || !argument.name.starts_with('-')) continue;
        const auto theirs = std::find_if(kSpellings.begin(), kSpellings.end(),
                                         [&](const Spelling& row) { return row.theirs == argument.name; });
        const CLI::Option* other = command.get_option_no_throw(argument.name);
        if (other == nullptr && theirs != kSpellings.end()) other = command.get_option_no_throw(theirs->ours);
        if (other == option) return &arguments[i];
    }
    return nullptr;
}

bool knows(const CLI::App& command, const std::string& flag) { return command.get_option_no_throw(flag) != nullptr; }

}  // namespace

Result<std::vector<std::string>> in_our_spelling(const CLI::App& command, const std::vector<std::string>& arguments) {
    std::vector<std::string> ours;
    bool is_over = !knows(command, "--model");  // such a command shares none of these flags
    for (size_t i = 0; i < arguments.size(); ++i) {
        is_over = is_over || arguments[i] == "--";
        const Argument argument = parse(arguments[i]);
        const auto named = [&](const auto& row) { return row.theirs == argument.name; };
        if (is_over || !argument.name.starts_with('-') || knows(command, argument.name)) {
            ours.push_back(arguments[i]);
            continue;
        }
        if (const auto it = std::find_if(kExplained.begin(), kExplained.end(), named); it != kExplained.end()) {
            return fail(ErrorCode::invalid_argument, "there is no {}: {}", it->theirs, it->instead);
        }
        const auto it = std::find_if(kSpellings.begin(), kSpellings.end(), named);
        if (it == kSpellings.end() || !knows(command, it->ours)) {
            ours.push_back(arguments[i]);
            continue;
        }
        const CLI::Option* option = command.get_option_no_throw(it->ours);
        const std::string* other =
            option->get_items_expected_max() == 1 ? given_also(command, arguments, i, option) : nullptr;
        if (other != nullptr) {
            return fail(ErrorCode::invalid_argument, "{} and {} mean the same flag, {}: give one of them", it->theirs,
                        in_quotes(parse(*other).name), it->ours);
        }
        ours.emplace_back(it->ours);
        if (argument.has_value)
            ours.push_back(std::string(it->prefix) + argument.value);
        else if (i + 1 < arguments.size())
            ours.push_back(std::string(it->prefix) + arguments[++i]);
    }
    return ours;
}

}  // namespace atlas::tools
