#pragma once
// The servers and authorities that the user's environment sets.

#include "runtime/base/user_dirs.h"
#include "tools/models/source.h"

namespace atlas::tools {

/// HF_ENDPOINT, HF_TOKEN and PIP_INDEX_URL; what is not set stays as it is in Sites. Fails: invalid_argument (names the
/// variable).
Result<Sites> sites_of(const Environment& environment);

/// CURL_CA_BUNDLE, else SSL_CERT_FILE, and SSL_CERT_DIR, as curl reads them. libcurl itself reads the variables of
/// proxies, but none of these.
Authorities authorities_of(const Environment& environment);

}  // namespace atlas::tools
