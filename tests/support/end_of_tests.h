#pragma once
// Objects that a whole test program shares must be destroyed before static objects: by then parts of a driver or of a
// validation layer may be gone.

#include <functional>

namespace atlas::test {

/// Calls `end` after the last test, in reverse order of registration. Call it from a test or from code that a test
/// calls.
void at_end_of_tests(std::function<void()> end);

/// An object that lives from its first use to the end of the tests. `make` returns a smart pointer or an optional.
template <class Make>
auto& kept_for_all_tests(Make make) {
    static auto kept = make();
    static const bool registered = (at_end_of_tests([] { kept.reset(); }), true);
    static_cast<void>(registered);
    return *kept;
}

}  // namespace atlas::test
