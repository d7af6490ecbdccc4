#pragma once
// Errors from outside the program: a value that says what, where, expected, found, and what to do.

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace atlas {

enum class ErrorCode {
    invalid_argument,  // the caller's or the user's request makes no sense
    not_found,         // a file, model or name that is not there
    io,                // the operating system refused a read or write
    corrupt,           // data that breaks its own format's promises
    unsupported,       // well-formed, but something this build or device cannot do
    out_of_memory,     // host or device memory
    no_device,         // no Vulkan device that can run us
    device_lost,       // the driver gave up on the device
    limit,             // a bound of ours was reached (context length, time, depth, size)
    network,           // a transfer failed
    cancelled,         // the user asked to stop
};

struct Error {
    ErrorCode code = ErrorCode::invalid_argument;
    std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;

/// Makes the failed Result of any type: `return fail(ErrorCode::io, "cannot open {}: {}", path, reason);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
    return tl::unexpected<Error>(Error{code, fmt::format(text, std::forward<Args>(args)...)});
}

/// Puts `where` in front of an error on its way up: "model.gguf: tensor 3: ...".
[[nodiscard]] inline tl::unexpected<Error> fail_in(std::string_view where, Error error) {
    error.message = fmt::format("{}: {}", where, error.message);
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace atlas

#define ATLAS_CONCAT_(a, b) a##b
#define ATLAS_CONCAT(a, b) ATLAS_CONCAT_(a, b)
#define ATLAS_TRY_(result, declaration, ...)                       \
    auto result = (__VA_ARGS__);                                   \
    if (!result) return tl::unexpected(std::move(result).error()); \
    declaration = std::move(*result)

/// ATLAS_TRY(auto file, open(path)); returns the error to the caller, or continues with the value.
#define ATLAS_TRY(declaration, ...) ATLAS_TRY_(ATLAS_CONCAT(atlas_result_, __LINE__), declaration, __VA_ARGS__)

/// ATLAS_TRY_VOID(write(x)); the same for Result<void>.
#define ATLAS_TRY_VOID(...)                                                                                           \
    do {                                                                                                              \
        if (auto atlas_result = (__VA_ARGS__); !atlas_result) return tl::unexpected(std::move(atlas_result).error()); \
    } while (0)
