#include "tools/prompts_file.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "runtime/base/in_quotes.h"
#include "tools/prompt.h"

namespace atlas::tools {

namespace {

constexpr std::string_view kMark = "\xEF\xBB\xBF";
constexpr size_t kMostShownBytes = 60;  // of a line that is no prompt

PromptLine prompt_of(std::string_view line, const std::string& where) {
    if (line.front() != '{') return {std::string(line), ""};
    const PromptLine none{printable(line, kMostShownBytes),
                          where + ": expected a text or an object with a string \"prompt\""};
    try {
        const auto parsed = nlohmann::json::parse(line);
        if (!parsed.is_object() || !parsed.contains("prompt") || !parsed["prompt"].is_string()) return none;
        return {parsed["prompt"].get<std::string>(), ""};
    } catch (const nlohmann::json::parse_error& wrong) {
        return {none.text,
                fmt::format("{}; the JSON is not valid from byte {} of the line on", none.error, wrong.byte)};
    } catch (const nlohmann::json::exception&) {
        return {none.text, none.error + "; its text is not valid UTF-8"};
    }
}

}  // namespace

Result<std::vector<PromptLine>> read_prompts(const std::string& path) {
    ATLAS_TRY(const std::string text, read_text(path));
    const std::string name = path == "-" ? "stdin" : in_quotes(path, 400);
    std::vector<PromptLine> prompts;
    std::string_view rest = text;
    for (int number = 1; !rest.empty(); ++number) {
        const size_t end = rest.find('\n');
        std::string_view line = rest.substr(0, end);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
        // Also in the middle: concatenated files each have their mark.
        if (line.starts_with(kMark)) line.remove_prefix(kMark.size());
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty()) continue;
        prompts.push_back(prompt_of(line, fmt::format("{}, line {}", name, number)));
    }
    if (prompts.empty()) return fail(ErrorCode::corrupt, "{}: no prompts: expected one on each line", name);
    return prompts;
}

}  // namespace atlas::tools
