#include "tools/terminal_text.h"

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

}  // namespace atlas::tools
