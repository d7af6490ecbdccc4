#pragma once
// Functions that every template can call.

#include <chrono>
#include <memory>

#include "runtime/text/jinja/scope.h"

namespace atlas::jinja {

/// range, dict, namespace, cycler, joiner, raise_exception and strftime_now (which shows `now` in local time).
std::shared_ptr<Scope> make_globals(Budget& budget, std::chrono::system_clock::time_point now);

/// Python's datetime.strftime. Throws for directives that need more than 255 bytes.
std::string format_time(Budget& budget, std::string_view format, std::chrono::system_clock::time_point now);

}  // namespace atlas::jinja
