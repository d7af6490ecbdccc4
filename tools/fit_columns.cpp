#include "tools/fit_columns.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "tools/terminal_text.h"

namespace atlas::tools {

namespace {

constexpr size_t kHelpColumn = 30;  // where CLI11 begins the text of an option
constexpr size_t kFewest = 20;      // columns that must be left for words
constexpr size_t kNone = std::string_view::npos;

// Where the second column of `line` begins: after two or more spaces, or after the one that a long name leaves in a
// help text.
size_t second_column(std::string_view line, size_t begin) {
    const size_t gap = line.find("  ", begin);
    const size_t at = gap == kNone ? kNone : line.find_first_not_of(' ', gap);
    if (at != kNone && at <= kHelpColumn) return at;
    const bool is_option = line.substr(begin).starts_with('-') && line.size() > kHelpColumn;
    return is_option && line[kHelpColumn - 1] == ' ' && line[kHelpColumn] != ' ' ? kHelpColumn : kNone;
}

std::string fit_line(std::string_view line, size_t columns) {
    const size_t begin = line.find_first_not_of(' ');
    if (line.size() <= columns || begin == kNone) return std::string(line);
    const size_t second = second_column(line, begin);
    const bool is_command = begin > 0 && second == kNone && line.find("atlas-vk ") != kNone;
    const size_t indent = second == kNone ? begin : second;
    if (is_command || indent + kFewest > columns) return std::string(line);

    std::string fitted(line.substr(0, indent));
    std::string_view left = line.substr(indent);
    const size_t width = columns - indent;
    while (left.size() > width) {
        size_t end = left.rfind(' ', width);
        if (end == kNone || end == 0) end = left.find(' ', 1);  // a word that is longer than a line
        const size_t next = end == kNone ? kNone : left.find_first_not_of(' ', end);
        if (next == kNone) break;
        fitted.append(left.substr(0, end)).append("\n").append(indent, ' ');
        left.remove_prefix(next);
    }
    return fitted.append(left);
}

}  // namespace

namespace {

// The lines of a Markdown table at the beginning of the text, or nothing.
std::string_view table_at(std::string_view text) {
    size_t end = 0;
    while (end < text.size() && text[end] == '|') end = std::min(text.find('\n', end), text.size() - 1) + 1;
    const std::string_view lines = text.substr(0, end);
    const bool has_titles = lines.substr(std::min(lines.find('\n'), lines.size())).starts_with("\n|-");
    return has_titles ? lines : std::string_view();
}

bool has_line_over(std::string_view text, size_t columns) {
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        if (end - begin > columns) return true;
        begin = end + 1;
    }
    return false;
}

// "| a | b |" as "a" and "b".
std::vector<std::string_view> cells_of(std::string_view line) {
    std::vector<std::string_view> cells;
    for (size_t begin = line.find('|') + 1, end = 0; (end = line.find('|', begin)) != kNone; begin = end + 1) {
        std::string_view cell = line.substr(begin, end - begin);
        cell.remove_prefix(std::min(cell.find_first_not_of(' '), cell.size()));
        cell.remove_suffix(cell.size() - std::min(cell.find_last_not_of(' ') + 1, cell.size()));
        cells.push_back(cell);
    }
    return cells;
}

// A table that is too wide, row by row: the first cell, and the others with their titles.
std::string stacked(std::string_view table, size_t columns) {
    std::string text;
    std::vector<std::string_view> titles;
    for (size_t number = 0; !table.empty(); ++number) {
        const size_t end = std::min(table.find('\n'), table.size());
        const auto cells = cells_of(table.substr(0, end));
        table.remove_prefix(std::min(end + 1, table.size()));
        if (number == 0) titles = cells;
        if (number < 2 || cells.empty()) continue;
        std::string rest;
        for (size_t i = 1; i < std::min(cells.size(), titles.size()); ++i)
            rest.append(rest.empty() ? "  " : ", ").append(titles[i]).append(" ").append(cells[i]);
        text.append(fit_line(cells[0], columns)).append("\n").append(fit_line(rest, columns)).append("\n");
    }
    return text;
}

}  // namespace

std::string fit_columns(std::string_view text, size_t columns) {
    std::string fitted;
    while (!text.empty()) {
        if (const auto table = table_at(text); has_line_over(table, columns)) {
            fitted += stacked(table, columns);
            text.remove_prefix(table.size());
            continue;
        }
        const size_t end = text.find('\n');
        fitted += fit_line(text.substr(0, end), columns);
        if (end == kNone) break;
        fitted += '\n';
        text.remove_prefix(end + 1);
    }
    return fitted;
}

namespace {

size_t columns_of(int terminal) {
    winsize size = {};
    return ioctl(terminal, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string fitted_to(int terminal, std::string_view text) {
    const size_t columns = columns_of(terminal);
    return columns > 0 ? fit_columns(text, columns) : std::string(text);
}

}  // namespace

size_t output_columns() { return columns_of(STDOUT_FILENO); }

std::string fitted_to_stderr(std::string_view text) { return fitted_to(STDERR_FILENO, text); }

void print_fitted(std::string_view text) {
    const std::string shown = fitted_to(STDOUT_FILENO, printable_lines(text));
    std::fwrite(shown.data(), 1, shown.size(), stdout);
}

}  // namespace atlas::tools
