#include "runtime/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace atlas {

void check_failed(const char* file, int line, const char* expression, const std::string& detail) {
    fmt::print(stderr, "atlas-vk bug: {}:{}: {} does not hold{}{}\n", file, line, expression,
               detail.empty() ? "" : ": ", detail);
    std::fflush(stderr);
    std::abort();
}

}  // namespace atlas
