#include "tools/usage_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <vector>

#include "runtime/base/in_quotes.h"
#include "tools/model_path.h"

namespace atlas::tools {

namespace {

// The parts of `text` around `middle`; false: `text` does not hold it.
bool split(std::string_view text, std::string_view middle, std::string& left, std::string& right) {
    const size_t at = text.find(middle);
    if (at == std::string_view::npos) return false;
    left = text.substr(0, at);
    right = text.substr(at + middle.size());
    return true;
}

// "coding,chat" as people write it.
std::string list_of(std::string_view choices) {
    std::string text;
    for (const char c : choices) text += c == ',' ? ", " : std::string(1, c);
    return text;
}

// "--for: cooking not in {coding,chat}"; other messages are ours already.
std::string of_value(std::string_view text) {
    std::string flag, rest, value, choices;
    if (!split(text, ": ", flag, rest)) return std::string(text);
    if (split(rest, " not in {", value, choices) && choices.ends_with('}')) {
        return fmt::format("{}: expected one of {}, found {}", flag,
                           list_of(std::string_view(choices).substr(0, choices.size() - 1)), in_quotes(value));
    }
    return std::string(text);
}

// What a person may give for --model.
std::string missing_model() {
    const auto store = user_store();
    const auto models = store ? store->list() : tl::unexpected(store.error());
    if (!models || models->empty())
        return "--model is missing, and no model is stored: 'atlas-vk pull smollm2-135m' fetches a small one; -m also "
               "takes the path of a .gguf file";
    constexpr size_t kMostNamed = 3;
    std::vector<std::string> names;
    for (const StoredModel& model : *models) names.push_back(printable(model.name));
    if (names.size() > kMostNamed) {
        names.resize(kMostNamed);
        names.emplace_back("...");
    }
    return fmt::format("--model is missing: give -m a stored name ({}) or the path of a .gguf file",
                       fmt::join(names, ", "));
}

}  // namespace

std::string usage_text(const CLI::ParseError& error, const CLI::App* command) {
    const std::string text = error.what();
    std::string left, right;
    const bool is_extra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    const bool is_missing = dynamic_cast<const CLI::RequiredError*>(&error) != nullptr;
    const auto extra = command != nullptr ? command->remaining() : std::vector<std::string>();
    if ((is_extra || is_missing) && !extra.empty()) {
        // An unknown flag may be a required one, misspelt.
        if (extra.front().starts_with('-')) return fmt::format("there is no flag {}", extra.front());
        if (is_extra)
            return fmt::format("nothing was expected after the flags, found {}",
                               in_quotes(fmt::format("{}", fmt::join(extra, " "))));
    }
    if (is_missing && split(text, " is required", left, right))
        return left == "--model" ? missing_model() : fmt::format("{} is missing: it is required", left);
    if (dynamic_cast<const CLI::ExcludesError*>(&error) != nullptr && split(text, " excludes ", left, right))
        return fmt::format("{} does not go with {}", left, right);
    if (dynamic_cast<const CLI::RequiresError*>(&error) != nullptr && split(text, " requires ", left, right))
        return fmt::format("{} goes with {}: give it, too", left, right);
    if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr && split(text, " = ", left, right)) {
        const size_t name = left.rfind(' ');
        return fmt::format("{}: expected a number, found {}", name == std::string::npos ? left : left.substr(name + 1),
                           in_quotes(right));
    }
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && split(text, ": ", left, right)) {
        const bool has_more = right.starts_with("At Most");
        return fmt::format("{}: {}", left,
                           has_more ? "given more than once, expected once" : "expected a value, found none");
    }
    if (dynamic_cast<const CLI::ValidationError*>(&error) != nullptr) return of_value(text);
    return text;
}

}  // namespace atlas::tools
