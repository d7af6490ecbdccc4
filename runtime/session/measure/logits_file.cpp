#include "runtime/session/measure/logits_file.h"

#include <algorithm>
#include <bit>
#include <charconv>

#include "runtime/base/atomic_file.h"

namespace atlas {

static_assert(std::endian::native == std::endian::little, "logits are written as they lie in memory");

Result<void> write_logits_file(Session& session, std::span<const TokenId> tokens, const std::filesystem::path& path,
                               const std::function<void(uint32_t)>& progress, std::stop_token stop) {
    ATLAS_TRY(AtomicFile out, AtomicFile::create(path));
    const uint64_t n_vocab = session.model().config().n_vocab;
    const auto sink = [&](uint32_t first, std::span<const float> logits) -> Result<void> {
        ATLAS_TRY_VOID(out.write(std::as_bytes(logits)));
        if (progress) progress(first + static_cast<uint32_t>(logits.size() / n_vocab));
        return {};
    };
    ATLAS_TRY_VOID(session.logits_of_all(tokens, sink, std::move(stop)));
    return out.commit();
}

Result<std::vector<TokenId>> parse_token_list(std::string_view text) {
    std::vector<TokenId> tokens;
    for (size_t at = 0; at <= text.size();) {
        const size_t end = std::min(text.find(',', at), text.size());
        const std::string_view piece = text.substr(at, end - at);
        TokenId token = 0;
        const auto [stop, error] = std::from_chars(piece.data(), piece.data() + piece.size(), token);
        if (error != std::errc() || stop != piece.data() + piece.size()) {
            return fail(ErrorCode::invalid_argument, "token list: expected numbers separated by commas, found '{}'",
                        piece);
        }
        tokens.push_back(token);
        at = end + 1;
    }
    return tokens;
}

}  // namespace atlas
