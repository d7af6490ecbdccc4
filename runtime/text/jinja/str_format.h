#pragma once
// str.format: "{} has {count:>3}".

#include <string>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

/// Fills the places of the text `format`; a safe text escapes what it takes in.
std::string str_format(Budget& budget, const Value& format, const Arguments& arguments);

}  // namespace atlas::jinja
