#include "runtime/gguf/split.h"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

namespace atlas::gguf {
namespace {

constexpr std::string_view kTail = "-00000-of-00000.gguf";

std::optional<uint32_t> five_digits(std::string_view text) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + 5, value);
    if (error != std::errc() || end != text.data() + 5) return std::nullopt;
    return value;
}

}  // namespace

std::optional<SplitName> split_name(const std::filesystem::path& path) {
    const std::string text = path.string();
    if (text.size() < kTail.size()) return std::nullopt;
    const std::string_view tail = std::string_view(text).substr(text.size() - kTail.size());
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || tail.substr(15) != ".gguf") return std::nullopt;
    const auto number = five_digits(tail.substr(1));
    const auto count = five_digits(tail.substr(10));
    if (!number || !count || *number == 0 || *number > *count) return std::nullopt;
    return SplitName{text.substr(0, text.size() - kTail.size()), *number - 1, *count};
}

std::filesystem::path split_path(const SplitName& name, uint32_t index) {
    return fmt::format("{}-{:05}-of-{:05}.gguf", name.stem, index + 1, name.count);
}

}  // namespace atlas::gguf
