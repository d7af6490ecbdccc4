#include "runtime/text/numbered_merges.h"

#include "runtime/base/in_quotes.h"

namespace atlas {
namespace {

// One entry of tokenizer.ggml.merges as tokens; nothing when it cannot apply, with the reason.
struct NumberedMerge {
    TokenId left, right, result;
};
std::optional<NumberedMerge> number_merge(const Vocabulary& vocabulary, std::string_view merge, std::string& joined,
                                          std::string& reason) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos || space + 1 == merge.size()) {
        reason = "it is not two words with one space between";
        return std::nullopt;
    }
    joined.assign(merge.substr(0, space)).append(merge.substr(space + 1));
    const auto left = vocabulary.find(merge.substr(0, space));
    const auto right = vocabulary.find(merge.substr(space + 1));
    const auto result = vocabulary.find(joined);
    if (left && right && result) return NumberedMerge{*left, *right, *result};
    reason = fmt::format("the vocabulary has no token {}", in_quotes(!left    ? merge.substr(0, space)
                                                                     : !right ? merge.substr(space + 1)
                                                                              : std::string_view(joined)));
    return std::nullopt;
}

}  // namespace

Result<MergeTable> number_merges(Vocabulary& vocabulary) {
    MergeTable table(vocabulary.merges.size());
    std::string joined, reason, first;
    size_t n_left_out = 0;
    for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
        const auto merge = number_merge(vocabulary, vocabulary.merges[rank], joined, reason);
        if (merge)
            table.insert(merge->left, merge->right, {static_cast<uint32_t>(rank), merge->result});
        else if (n_left_out++ == 0)
            first = fmt::format("entry {} is {}, but {}", rank, in_quotes(vocabulary.merges[rank]), reason);
    }
    const size_t n_merges = vocabulary.merges.size();
    if (n_left_out == n_merges)
        return fail(ErrorCode::corrupt, "tokenizer.ggml.merges: none of the {} merges can apply: {}", n_merges, first);
    if (n_left_out > 0)
        vocabulary.notes.push_back(
            fmt::format("tokenizer.ggml.merges: {} of {} merges cannot apply and {} left out: {}", n_left_out, n_merges,
                        n_left_out == 1 ? "is" : "are", first));
    return table;
}

}  // namespace atlas
