#include "runtime/gguf/file_error.h"

#include "runtime/base/in_quotes.h"

namespace atlas::gguf {

tl::unexpected<Error> fail_in_file(const std::filesystem::path& file, Error error) {
    constexpr size_t kMostShown = 400;
    const std::string name = in_quotes(file.string(), kMostShown);
    const bool names_it =
        error.message.starts_with(name) || error.message.starts_with(printable(file.string(), kMostShown) + ": ");
    return names_it ? tl::unexpected<Error>(std::move(error)) : fail_in(name, std::move(error));
}

tl::unexpected<Error> fail_with_model(const std::filesystem::path& file, Error error) {
    if (error.code != ErrorCode::corrupt) return tl::unexpected<Error>(std::move(error));
    return fail_in_file(file, std::move(error));
}

}  // namespace atlas::gguf
