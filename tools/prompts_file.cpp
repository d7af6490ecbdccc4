#include "tools/prompts_file.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "runtime/base/in_quotes.h"
#include "tools/prompt.h"

namespace atlas::tools {

namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";

// Nothing: the line is no prompt.
std::optional<std::string> prompt_of(std::string_view line) {
    if (line.front() != '{') return std::string(line);
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("prompt") || !parsed["prompt"].is_string()) return std::nullopt;
    return parsed["prompt"].get<std::string>();
}

}  // namespace

Result<std::vector<std::string>> read_prompts(const std::string& path) {
    ATLAS_TRY(const std::string text, read_text(path));
    const std::string name = path == "-" ? "stdin" : in_quotes(path, 400);
    if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) return fail(ErrorCode::corrupt, "{} is UTF-16: expected UTF-8", name);
    std::vector<std::string> prompts;
    std::string_view rest = text;
    for (int number = 1; !rest.empty(); ++number) {
        const size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        // Also in the middle: files with marks that were put together.
        if (line.starts_with(kMark)) line.remove_prefix(kMark.size());
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) continue;
        auto prompt = prompt_of(line);
        if (!prompt) return fail(ErrorCode::corrupt, "{}, line {}: expected a text or an object with a string \"prompt\"", name, number);
        prompts.push_back(std::move(*prompt));
    }
    if (prompts.empty()) return fail(ErrorCode::invalid_argument, "{}: no prompts: expected one on each line", name);
    return prompts;
}

}  // namespace atlas::tools
