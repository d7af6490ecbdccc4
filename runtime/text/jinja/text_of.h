#pragma once
// Values as text: Python's str() and repr().

#include <string>

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

/// str(value): what {{ value }} prints.
std::string text_of(Budget& budget, const Value& value);
/// Appends str(value) to `out`; throws (limit) before `out` gets longer than allowed.
void append_text(Budget& budget, std::string& out, const Value& value);
/// repr(value): texts in quotes.
std::string repr_of(Budget& budget, const Value& value);
/// The shortest digits that read back as the same number, laid out as Python does: 1.0, 0.1, 1e+16, inf.
std::string repr_of_real(double value);

}  // namespace atlas::jinja
