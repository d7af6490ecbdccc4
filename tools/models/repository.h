#pragma once
// A repository of GGUF files at Hugging Face.

#include "tools/models/source.h"

namespace atlas::tools {

struct Repository {
    std::string name;   // "owner/repo"
    std::string quant;  // "Q4_K_M", a file's name, or empty: the usual one
};

/// "owner/repo[:quant]", with letters, digits and "-_." in names. Fails: invalid_argument.
Result<Repository> parse_repository(std::string_view text);

/// The parts of the one model that the name means, in order. A quantization is matched as a whole word of the file's
/// name; draft heads, projectors and importance matrices do not count as models, unless the repository is named after
/// one. Fails: not_found (nothing fits: lists what is there), invalid_argument (several fit: lists them), corrupt (a
/// part is missing).
Result<std::vector<RemoteFile>> choose_model(const std::vector<RemoteFile>& files, const Repository& repository);

/// Asks the server. Fails: as choose_model, network.
Result<std::vector<RemoteFile>> repository_files(const Repository& repository, const Sites& sites,
                                                 const DownloadOptions& options);

}  // namespace atlas::tools
