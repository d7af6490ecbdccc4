#pragma once
// The process's environment, for what takes it as a function. Libraries below runtime/ read none.

#include <optional>
#include <string>

namespace atlas::tools {

std::optional<std::string> system_environment(const char* name);

}  // namespace atlas::tools
