#include "runtime/serve/draft_vocabulary.h"

#include <algorithm>
#include <optional>

#include "runtime/base/in_quotes.h"

namespace atlas {

Result<void> check_draft_vocabulary(const Tokenizer& target, const Tokenizer& draft) {
    const uint32_t n_both = std::min(target.n_vocab(), draft.n_vocab());
    uint32_t n_other = 0;
    std::optional<TokenId> first;
    for (TokenId token = 0; token < n_both; ++token) {
        if (target.piece(token, true) == draft.piece(token, true)) continue;
        if (!first) first = token;
        ++n_other;
    }
    if (n_both > 0 && n_other <= n_both / 100) return {};
    return fail(ErrorCode::unsupported,
                "the draft model has another vocabulary: {} of {} tokens differ{}: take one of the same family",
                n_other, n_both,
                first ? fmt::format(", token {} is {} there and {} here", *first, in_quotes(draft.piece(*first, true)),
                                    in_quotes(target.piece(*first, true)))
                      : "");
}

}  // namespace atlas
