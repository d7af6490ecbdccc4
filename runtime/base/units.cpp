#include "runtime/base/units.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <span>
#include <string_view>

namespace atlas {
namespace {

// Three significant digits, so that 9.99, 99.9 and 999 take about the same room. Rounds before it chooses the digits:
// 9.999 is "10.0", not "10.00".
std::string three_digits(double value) {
    if (value < 9.995) return fmt::format("{:.2f}", value);
    if (value < 99.95) return fmt::format("{:.1f}", value);
    return fmt::format("{:.0f}", value);
}

std::string scaled(uint64_t number, double step, std::span<const std::string_view> units) {
    double value = static_cast<double>(number);
    size_t unit = 0;
    while (value >= step - 0.5 && unit + 1 < units.size()) {
        value /= step;
        ++unit;
    }
    return fmt::format("{}{}", three_digits(value), units[unit]);
}

}  // namespace

std::string bytes_text(uint64_t bytes) {
    static constexpr std::array<std::string_view, 6> kUnits = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
    if (bytes < kKiB) return fmt::format("{} B", bytes);
    return scaled(bytes, 1024.0, kUnits);
}

std::string count_text(uint64_t count) {
    static constexpr std::array<std::string_view, 5> kUnits = {"", "K", "M", "B", "T"};
    if (count < 1000) return fmt::format("{}", count);
    return scaled(count, 1000.0, kUnits);
}

std::string count_of(uint64_t count, std::string_view noun) {
    return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string duration_text(double seconds) {
    if (seconds < 0.9995) return fmt::format("{} ms", three_digits(seconds * 1000.0));
    if (seconds < 59.95) return fmt::format("{} s", three_digits(seconds));
    const auto whole = static_cast<uint64_t>(std::llround(seconds));
    if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
    return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

Result<uint64_t> parse_bytes(std::string_view text) {
    double value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    std::string unit(rest, static_cast<size_t>(text.data() + text.size() - rest));
    for (char& c : unit) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (unit.ends_with("ib"))
        unit.resize(unit.size() - 2);
    else if (unit.ends_with("b"))
        unit.resize(unit.size() - 1);
    constexpr double kMostGiB = 4096;
    if (!text.empty() && unit.empty() && rest == text.data() + text.size() && value < kMostGiB) unit.push_back('g');
    constexpr std::string_view kUnits = "kmgt";
    const size_t power = unit.empty() ? 0 : kUnits.find(unit) + 1;
    if (error != std::errc() || unit.size() > 1 || (!unit.empty() && power == 0) || !std::isfinite(value) ||
        value < 0) {
        return fail(ErrorCode::invalid_argument, "'{}' is no number of bytes; give one such as 12G, 1.5G or 800M",
                    text);
    }
    const double bytes = std::ldexp(value, static_cast<int>(10 * power));
    if (bytes >= std::ldexp(1.0, 63))
        return fail(ErrorCode::invalid_argument, "'{}' is more bytes than any machine has", text);
    return static_cast<uint64_t>(bytes);
}

}  // namespace atlas
