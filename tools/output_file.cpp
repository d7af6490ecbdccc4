#include "tools/output_file.h"

#include <system_error>

#include "runtime/base/in_quotes.h"
#include "runtime/base/os.h"
#include "runtime/gguf/split.h"

namespace atlas::tools {

namespace fs = std::filesystem;

std::vector<fs::path> model_files(const fs::path& model) {
    const auto name = gguf::split_name(model);
    if (!name) return {model};
    std::vector<fs::path> parts;
    std::error_code error;
    for (uint32_t i = 0; i < name->count; ++i) {
        const fs::path part = gguf::split_path(*name, i);
        if (fs::exists(part, error)) parts.push_back(part);
    }
    return parts;
}

Result<void> check_output(const fs::path& out, const std::vector<fs::path>& inputs, bool force) {
    const auto shown = [](const fs::path& path) { return in_quotes(path.string(), 400); };
    for (const fs::path& input : inputs) {
        if (!os::same_file(out, input)) continue;
        return fail(ErrorCode::invalid_argument,
                    "{} is {}, which is read: writing it would destroy it. Give another name", shown(out),
                    out == input ? "an input" : shown(input));
    }
    std::error_code error;
    // A dangling link counts as an existing file.
    const bool is_there = fs::exists(fs::symlink_status(out, error));
    const fs::file_status status = fs::status(out, error);
    if (fs::exists(status) && !fs::is_regular_file(status)) {
        return fail(ErrorCode::invalid_argument, "{} is {}: expected the name of a file", shown(out),
                    fs::is_directory(status) ? "a folder" : "a device or a pipe");
    }
    if (is_there && !force)
        return fail(ErrorCode::invalid_argument, "{} exists: give another name, or --force to replace it", shown(out));
    const fs::path folder = out.has_parent_path() ? out.parent_path() : fs::path(".");
    if (!fs::is_directory(folder, error))
        return fail(ErrorCode::not_found, "{}: there is no folder {}", shown(out), shown(folder));
    return {};
}

}  // namespace atlas::tools
