#include "tools/models/environment.h"

#include <cstdlib>

namespace atlas::tools {

std::optional<std::string> system_environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace atlas::tools
