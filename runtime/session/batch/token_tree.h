#pragma once
// A tree of draft tokens, verified in one step.
//
// A branch is a fork of the timeline: it reads the same pages, and only the page in which the timeline ends is copied
// for it. A node that branches share runs once in each of them, so a step holds the sum of the branches' lengths, and
// attention kernels need no mask. What a mask would cost instead has not been measured.

#include <span>
#include <vector>

#include "runtime/session/step/step_runner.h"

namespace atlas {

/// Node 0 is the root: the token that is already chosen and not yet in the timeline.
struct TokenTree {
    std::vector<TokenId> tokens;
    std::vector<uint32_t> parents;  // [tokens.size()] of node i > 0: an earlier node. parents[0] is ignored

    /// Returns the new node.
    uint32_t add(uint32_t parent, TokenId token);
    /// The leaves in the order of their nodes, each as the path of nodes from the root to it.
    std::vector<std::vector<uint32_t>> branches() const;
    /// How many tokens a step of the tree runs.
    uint32_t n_columns() const;
};

/// The results of a step for every node.
class CheckedTree {
  public:
    /// Logits [n_vocab] after the node's token. Valid until the runner's next step. Requires a check without choices.
    std::span<const float> logits(uint32_t node) const;
    /// The token that was chosen to follow the node. Requires choices. Fails: corrupt (damaged logits).
    Result<TokenId> chosen(uint32_t node) const;

    /// Makes `timeline`, on which this check ran, end after `node`; the other branches are dropped.
    void keep(uint32_t node, Timeline& timeline);

  private:
    friend Result<CheckedTree> check_tree(StepRunner&, const Timeline&, const TokenTree&,
                                          std::span<const ChoiceParams>);
    struct Place {
        uint32_t branch = 0, row = 0;
    };
    const StepRunner* runner_ = nullptr;
    uint32_t n_before_ = 0;
    std::vector<Timeline> branches_;
    std::vector<Place> places_;  // [nodes] the first branch that holds the node
};

/// Runs the tree after the end of `timeline`, which is not changed. Every node gets logits, or, where `choices` is
/// not empty, a token chosen by choices[its depth] (the root's depth is 0); choices: [at least as many as the longest
/// branch has nodes]. While n_columns() is at most kBatchInvariantWidth every node gets, to the bit, what steps of
/// one token along its branch give.
/// Requires: n_columns() <= n_batch and max_outputs, branches <= max_timelines.
/// Fails: as StepRunner::run; limit (the pool has no room for the branches). Then nothing has changed.
Result<CheckedTree> check_tree(StepRunner& runner, const Timeline& timeline, const TokenTree& tree,
                               std::span<const ChoiceParams> choices = {});

/// Follows the choices from the root to the nodes whose token is the one chosen after their parent. `accepted`: those
/// nodes, without the root.
struct TreeWalk {
    std::vector<uint32_t> accepted;
    TokenId next = 0;  // chosen after the last of them
};
Result<TreeWalk> walk(const TokenTree& tree, const CheckedTree& checked);

}  // namespace atlas
