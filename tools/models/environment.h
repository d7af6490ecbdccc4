#pragma once
// The process's environment, for functions that take it as an argument. Libraries below runtime/ do not read it.

#include <optional>
#include <string>

namespace atlas::tools {

std::optional<std::string> system_environment(const char* name);

}  // namespace atlas::tools
