#include "tools/terminal_text.h"

#include <unistd.h>

#include <cstdio>

#include "runtime/base/in_quotes.h"

namespace atlas::tools {

std::string printable_lines(std::string_view text) {
    std::string out;
    for (;;) {
        const size_t end = text.find('\n');
        out += printable(text.substr(0, end), text.size());
        if (end == std::string_view::npos) return out;
        out += '\n';
        text.remove_prefix(end + 1);
    }
}

void print_text(std::string_view text) {
    const std::string shown = printable_lines(text);
    std::fwrite(shown.data(), 1, shown.size(), stdout);  // main checks that all of it was written
}

std::string for_stdout(std::string_view text) {
    return isatty(STDOUT_FILENO) != 0 ? printable_lines(text) : std::string(text);
}

}  // namespace atlas::tools
