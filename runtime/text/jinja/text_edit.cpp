#include "runtime/text/jinja/text_edit.h"

#include <algorithm>

#include "runtime/text/jinja/search.h"
#include "runtime/text/jinja/unicode.h"

namespace atlas::jinja {
namespace {

size_t skip(std::string_view text, size_t at, bool space) {
    while (at < text.size()) {
        const Unit unit = unit_at(text, at);
        if (is_space(unit.code_point) != space) break;
        at += unit.bytes;
    }
    return at;
}

// The same from the end of text[0, end).
size_t skip_back(std::string_view text, size_t end, bool space) {
    while (end > 0) {
        const size_t before = unit_before(text, end);
        if (is_space(unit_at(text, before).code_point) != space) break;
        end = before;
    }
    return end;
}

bool ends_line(char32_t c) {
    return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

std::vector<std::string_view> split_space(Budget& budget, std::string_view text, int64_t most) {
    std::vector<std::string_view> parts;
    budget.bytes_touched(text.size());
    for (size_t at = skip(text, 0, true); at < text.size(); at = skip(text, at, true)) {
        budget.step();
        if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
            parts.push_back(text.substr(at));
            break;
        }
        const size_t end = skip(text, at, false);
        parts.push_back(text.substr(at, end - at));
        at = end;
    }
    return parts;
}

std::vector<std::string_view> split_space_right(Budget& budget, std::string_view text, int64_t most) {
    std::vector<std::string_view> parts;
    budget.bytes_touched(text.size());
    for (size_t end = skip_back(text, text.size(), true); end > 0; end = skip_back(text, end, true)) {
        budget.step();
        if (most >= 0 && static_cast<int64_t>(parts.size()) == most) {
            parts.push_back(text.substr(0, end));
            break;
        }
        const size_t begin = skip_back(text, end, false);
        parts.push_back(text.substr(begin, end - begin));
        end = begin;
    }
    std::ranges::reverse(parts);
    return parts;
}

std::vector<std::string_view> split_text(Budget& budget, std::string_view text, std::string_view separator,
                                         int64_t most) {
    std::vector<std::string_view> parts;
    size_t begin = 0;
    while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
        const size_t at = find_text(budget, text, separator, begin);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(begin, at - begin));
        begin = at + separator.size();
    }
    parts.push_back(text.substr(begin));
    return parts;
}

std::vector<std::string_view> split_text_right(Budget& budget, std::string_view text, std::string_view separator,
                                               int64_t most) {
    std::vector<std::string_view> parts;
    while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
        const size_t at = find_last_text(budget, text, separator);
        if (at == std::string_view::npos) break;
        parts.push_back(text.substr(at + separator.size()));
        text = text.substr(0, at);
    }
    parts.push_back(text);
    std::ranges::reverse(parts);
    return parts;
}

std::vector<std::string_view> split_lines(Budget& budget, std::string_view text, bool keep_ends) {
    std::vector<std::string_view> lines;
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
        budget.step();
        const Unit unit = unit_at(text, at);
        size_t after = at + unit.bytes;
        if (ends_line(unit.code_point)) {
            if (unit.code_point == '\r' && after < text.size() && text[after] == '\n') ++after;
            lines.push_back(text.substr(begin, (keep_ends ? after : at) - begin));
            begin = after;
        }
        at = after;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return lines;
}

std::string replaced(Budget& budget, std::string_view text, std::string_view from, std::string_view to, int64_t most) {
    std::string out;
    const auto put = [&](std::string_view piece) {
        if (out.size() + piece.size() > budget.limits().max_output_bytes) budget.string_size(out.size() + piece.size());
        budget.bytes_touched(piece.size());
        out += piece;
    };
    size_t at = 0;
    for (int64_t done = 0; most < 0 || done < most; ++done) {
        const size_t hit = from.empty() ? at : find_text(budget, text, from, at);
        if (hit == std::string_view::npos) break;
        put(text.substr(at, hit - at));
        put(to);
        at = hit + from.size();
        if (!from.empty()) continue;
        // Between all characters: one character goes with each match, the last match is after the last character.
        if (at == text.size()) return out;
        const size_t bytes = unit_at(text, at).bytes;
        put(text.substr(at, bytes));
        at += bytes;
    }
    put(text.substr(at));
    return out;
}

std::string_view strip_characters(Budget& budget, std::string_view text, std::string_view set, bool left, bool right) {
    const auto in_set = [&](std::string_view unit) {
        budget.bytes_touched(set.size());
        for (size_t at = 0; at < set.size();) {
            const size_t bytes = unit_at(set, at).bytes;
            if (set.substr(at, bytes) == unit) return true;
            at += bytes;
        }
        return false;
    };
    while (left && !text.empty()) {
        const size_t bytes = unit_at(text, 0).bytes;
        if (!in_set(text.substr(0, bytes))) break;
        text.remove_prefix(bytes);
    }
    while (right && !text.empty()) {
        const size_t at = unit_before(text, text.size());
        if (!in_set(text.substr(at))) break;
        text = text.substr(0, at);
    }
    return text;
}

std::string padded(Budget& budget, std::string_view text, int64_t width, char side, std::string_view fill) {
    const auto size = static_cast<int64_t>(count_code_points(text));
    if (width <= size) return std::string(text);
    const auto missing = static_cast<uint64_t>(width - size);
    if (missing > budget.limits().max_output_bytes / fill.size()) budget.string_size(SIZE_MAX);
    budget.string_size(text.size() + missing * fill.size());
    // Python puts the odd one left when the width is odd.
    const uint64_t left = side == '<'   ? 0
                          : side == '>' ? missing
                                        : missing / 2 + (missing & static_cast<uint64_t>(width) & 1);
    std::string out;
    for (uint64_t i = 0; i < left; ++i) out += fill;
    out += text;
    for (uint64_t i = left; i < missing; ++i) out += fill;
    return out;
}

}  // namespace atlas::jinja
