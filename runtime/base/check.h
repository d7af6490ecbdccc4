#pragma once
// Checks for our own bugs: they abort and print both sides. Never for input from outside.

#include <fmt/format.h>

#include <string>

namespace atlas {
[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& detail);
}

#define ATLAS_CHECK(condition, ...)                                                               \
    do {                                                                                          \
        if (!(condition)) [[unlikely]]                                                            \
            ::atlas::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
    } while (0)

#define ATLAS_CHECK_EQ(a, b)                                                                                      \
    do {                                                                                                          \
        const auto& atlas_a = (a);                                                                                \
        const auto& atlas_b = (b);                                                                                \
        if (!(atlas_a == atlas_b)) [[unlikely]]                                                                   \
            ::atlas::check_failed(__FILE__, __LINE__, #a " == " #b, ::fmt::format("{} vs {}", atlas_a, atlas_b)); \
    } while (0)
