#include "runtime/ops/kv_layout.h"

namespace atlas {

std::string name_of(const KvFormats& kv) {
    const std::string_view k_name = info(kv.k).name, v_name = info(kv.v).name;
    return kv.k == kv.v ? std::string(k_name) : fmt::format("{}:{}", k_name, v_name);
}

Result<KvFormats> parse_kv_formats(std::string_view text) {
    std::string known;
    for (const Format format : kKvFormats) known += (known.empty() ? "" : ", ") + std::string(info(format).name);
    const auto one = [&](std::string_view name) -> Result<Format> {
        for (const Format format : kKvFormats) {
            if (info(format).name == name) return format;
        }
        return fail(ErrorCode::invalid_argument, "no cache format '{}': expected one of {}, or two as K:V", name,
                    known);
    };
    const size_t colon = text.find(':');
    KvFormats kv;
    ATLAS_TRY(kv.k, one(text.substr(0, colon)));
    kv.v = kv.k;
    if (colon != std::string_view::npos) {
        ATLAS_TRY(kv.v, one(text.substr(colon + 1)));
    }
    return kv;
}

}  // namespace atlas
