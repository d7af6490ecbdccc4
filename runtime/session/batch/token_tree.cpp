#include "runtime/session/batch/token_tree.h"

#include <algorithm>

namespace atlas {

uint32_t TokenTree::add(uint32_t parent, TokenId token) {
    ATLAS_CHECK(parents.size() == tokens.size() && (tokens.empty() || parent < tokens.size()), "node {} of {}", parent,
                tokens.size());
    tokens.push_back(token);
    parents.push_back(parent);
    return static_cast<uint32_t>(tokens.size()) - 1;
}

std::vector<std::vector<uint32_t>> TokenTree::branches() const {
    std::vector<bool> has_child(tokens.size());
    for (uint32_t node = 1; node < tokens.size(); ++node) {
        ATLAS_CHECK(parents[node] < node, "node {} comes before its parent {}", node, parents[node]);
        has_child[parents[node]] = true;
    }
    std::vector<std::vector<uint32_t>> all;
    for (uint32_t leaf = 0; leaf < tokens.size(); ++leaf) {
        if (has_child[leaf]) continue;
        std::vector<uint32_t> branch{leaf};
        while (branch.back() != 0) branch.push_back(parents[branch.back()]);
        std::reverse(branch.begin(), branch.end());
        all.push_back(std::move(branch));
    }
    return all;
}

uint32_t TokenTree::n_columns() const {
    size_t n = 0;
    for (const auto& branch : branches()) n += branch.size();
    return static_cast<uint32_t>(n);
}

std::span<const float> CheckedTree::logits(uint32_t node) const {
    const size_t n_vocab = runner_->model().config().n_vocab;
    const Place& place = places_.at(node);
    return runner_->logits(place.branch).subspan(place.row * n_vocab, n_vocab);
}

Result<TokenId> CheckedTree::chosen(uint32_t node) const {
    const Place& place = places_.at(node);
    return runner_->chosen(place.branch, place.row);
}

void CheckedTree::keep(uint32_t node, Timeline& timeline) {
    const Place& place = places_.at(node);
    timeline = std::move(branches_.at(place.branch));
    timeline.rewind(n_before_ + place.row + 1);
    branches_.clear();
}

Result<CheckedTree> check_tree(StepRunner& runner, const Timeline& timeline, const TokenTree& tree,
                               std::span<const ChoiceParams> choices) {
    ATLAS_CHECK(!tree.tokens.empty() && tree.parents.size() == tree.tokens.size(), "{} tokens, {} parents",
                tree.tokens.size(), tree.parents.size());
    const auto branches = tree.branches();
    CheckedTree checked;
    checked.runner_ = &runner;
    checked.n_before_ = static_cast<uint32_t>(timeline.tokens().size());
    checked.places_.resize(tree.tokens.size());
    std::vector<bool> is_placed(tree.tokens.size());
    std::vector<std::vector<TokenId>> tokens;
    for (uint32_t b = 0; b < branches.size(); ++b) {
        tokens.emplace_back();
        for (uint32_t row = 0; row < branches[b].size(); ++row) {
            const uint32_t node = branches[b][row];
            tokens.back().push_back(tree.tokens[node]);
            if (is_placed[node]) continue;
            is_placed[node] = true;
            checked.places_[node] = {b, row};
        }
        checked.branches_.push_back(timeline.fork());
        const auto n = static_cast<uint32_t>(branches[b].size());
        ATLAS_TRY(const bool reserved, checked.branches_.back().reserve(n, n));
        if (!reserved)
            return fail(ErrorCode::limit, "no pages left for branch {} of {}: verify fewer draft tokens", b + 1,
                        branches.size());
    }
    std::vector<StepItem> items;
    for (size_t b = 0; b < branches.size(); ++b) {
        const size_t n = tokens[b].size();
        ATLAS_CHECK(choices.empty() || choices.size() >= n, "{} choices for a branch of {}", choices.size(), n);
        items.push_back(
            {&checked.branches_[b], tokens[b], static_cast<uint32_t>(n), choices.empty() ? choices : choices.first(n)});
    }
    ATLAS_TRY_VOID(runner.run(items));
    return checked;
}

Result<TreeWalk> walk(const TokenTree& tree, const CheckedTree& checked) {
    TreeWalk result;
    uint32_t node = 0;
    ATLAS_TRY(result.next, checked.chosen(node));
    for (uint32_t child = 1; child < tree.tokens.size(); ++child) {
        // Children come after their parents, so one pass in order finds the path; of equal children the first counts.
        if (tree.parents[child] != node || tree.tokens[child] != result.next) continue;
        node = child;
        result.accepted.push_back(node);
        ATLAS_TRY(result.next, checked.chosen(node));
    }
    return result;
}

}  // namespace atlas
