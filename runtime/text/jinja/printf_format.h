#pragma once
// The operator % of texts: "%s has %d" % (name, count).

#include <string>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

/// `values` is a tuple, a dict for "%(name)s", or a single value. Throws when numbers or types do not fit.
std::string printf_format(Budget& budget, std::string_view format, const Value& values);

}  // namespace atlas::jinja
