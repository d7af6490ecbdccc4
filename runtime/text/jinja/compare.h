#pragma once
// Equality, order and hashes of values, as Python defines them.

#include "runtime/text/jinja/value.h"

namespace atlas::jinja {

bool equal(Budget& budget, const Value& a, const Value& b);
/// Negative, zero, positive. Throws for types that have no order.
/// `symbol` is the operator to name in the message.
int order(Budget& budget, const Value& a, const Value& b, std::string_view symbol = "<");
/// False when both are numbers and one is no number (NaN), for which every order is false.
bool ordered(const Value& a, const Value& b);
/// Throws for lists, dicts and other values that cannot be keys.
size_t hash_of(Budget& budget, const Value& value);
/// a in b.
bool contains(Budget& budget, const Value& container, const Value& item);

}  // namespace atlas::jinja
