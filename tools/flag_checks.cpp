#include "tools/flag_checks.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <filesystem>

#include "bench/shape_model.h"
#include "runtime/base/in_quotes.h"
#include "runtime/base/units.h"
#include "runtime/session/single/session.h"

namespace atlas::tools {

namespace {

std::string range_text(const std::string& low, const std::string& high) {
    return high.empty() ? fmt::format("from {}", low) : fmt::format("from {} to {}", low, high);
}

}  // namespace

FlagCheck whole_number(uint64_t low, uint64_t high) {
    return [low, high](const std::string& text) -> std::string {
        uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, value);
        if (error == std::errc() && stop == end && value >= low && value <= high) return "";
        const bool has_top =
            high < std::numeric_limits<uint32_t>::max() || (error == std::errc() && stop == end && value > high);
        return fmt::format("expected a whole number {}, found {}",
                           range_text(fmt::format("{}", low), has_top ? fmt::format("{}", high) : ""), in_quotes(text));
    };
}

FlagCheck number(double low, double high) {
    return [low, high](const std::string& text) -> std::string {
        size_t used = 0;
        double value = std::nan("");
        try {
            value = std::stod(text, &used);
        } catch (const std::exception&) {
            used = 0;
        }
        if (used == text.size() && !text.empty() && std::isfinite(value) && value >= low && value <= high) return "";
        return fmt::format("expected a number {}, found {}",
                           range_text(fmt::format("{:g}", low), std::isinf(high) ? "" : fmt::format("{:g}", high)),
                           in_quotes(text));
    };
}

FlagCheck byte_size() {
    return [](const std::string& text) -> std::string {
        const auto bytes = parse_bytes(text);
        return bytes ? "" : bytes.error().message;
    };
}

FlagCheck input_file(std::string flag) {
    return [flag = std::move(flag)](const std::string& text) -> std::string {
        if (text.empty()) return "expected a value, found an empty one";
        std::error_code error;
        const auto status = std::filesystem::status(text, error);
        if (!std::filesystem::exists(status))
            throw NotThere(fmt::format("{}: there is no file {}", flag, in_quotes(text, 400)));
        return std::filesystem::is_directory(status)
                   ? fmt::format("{} is a folder: expected a file", in_quotes(text, 400))
                   : "";
    };
}

FlagCheck input_file_or_stdin(std::string flag) {
    return [check = input_file(std::move(flag))](const std::string& text) { return text == "-" ? "" : check(text); };
}

FlagCheck shape_name() {
    return [](const std::string& text) -> std::string {
        const auto wish = bench::find_shape(text);
        return wish ? "" : wish.error().message;
    };
}

FlagCheck cache_formats() {
    return [](const std::string& text) -> std::string {
        const auto formats = parse_kv_formats(text);
        return formats ? "" : formats.error().message;
    };
}

}  // namespace atlas::tools
