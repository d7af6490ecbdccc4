#pragma once
// Python package indexes, as pip reads them. Source: PEP 503 (HTML pages) and PEP 691 (the same as JSON).

#include "tools/models/source.h"

namespace atlas::tools {

struct IndexedFile {
    std::string name;
    std::string url;     // as written, perhaps relative
    std::string sha256;  // empty when the index does not say
};

/// The files on one package's page. Unknown content gives an empty list.
std::vector<IndexedFile> read_index_page(const std::string& text, const std::string& content_type);

/// `link` as seen from the page at `base`.
std::string absolute_url(const std::string& base, const std::string& link);

/// The wheel of this version that fits every platform. Fails: not_found (names the versions there are), network.
Result<RemoteFile> find_wheel(const std::string& index, const std::string& package, const std::string& version,
                              const DownloadOptions& options);

}  // namespace atlas::tools
