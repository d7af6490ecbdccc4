#pragma once
// The logits of every token of a text as a file that other programs can compare.

#include <filesystem>
#include <functional>

#include "runtime/session/single/session.h"

namespace atlas {

/// Runs `tokens` from an empty timeline and writes little-endian f32 [n_tokens, n_vocab] to `path`: first to a
/// temporary file beside it, which is renamed when complete.
/// Fails: as Session::logits_of_all; io (what, where).
Result<void> write_logits_file(Session& session, std::span<const TokenId> tokens, const std::filesystem::path& path,
                               const std::function<void(uint32_t done_tokens)>& progress = {},
                               std::stop_token stop = {});

/// Parses "1,2,3" as token ids. Fails: invalid_argument (names the piece that is not a number).
Result<std::vector<TokenId>> parse_token_list(std::string_view text);

}  // namespace atlas
