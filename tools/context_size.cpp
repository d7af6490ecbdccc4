#include "tools/context_size.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "runtime/base/in_quotes.h"
#include "runtime/model/limits.h"

namespace atlas::tools {

Result<uint32_t> parse_context(std::string_view text) {
    uint32_t n = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, n);
    const std::string_view rest(stop, static_cast<size_t>(end - stop));
    const uint32_t unit = rest.empty() ? 1 : 1024;
    if (error != std::errc() || n == 0 || !(rest.empty() || rest == "k" || rest == "K") || n > kMaxContext / unit) {
        return fail(ErrorCode::invalid_argument,
                    "expected a number of tokens from 1 to {}, such as 16384 or 16k, found {}", kMaxContext,
                    in_quotes(text));
    }
    return n * unit;
}

CLI::Validator context_size() {
    const auto to_number = [](std::string& text) -> std::string {
        const auto n = parse_context(text);
        if (!n) return n.error().message;
        text = fmt::format("{}", *n);
        return "";
    };
    return {to_number, ""};
}

}  // namespace atlas::tools
