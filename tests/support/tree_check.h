#pragma once
// Compares every node of a verified tree with steps of one token along its branch, to the bit; for the reference and
// for devices.

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/session/batch/token_tree.h"
#include "tests/support/run_batch.h"

namespace atlas::testing {

/// A root with three branches, one of which splits in two, and long enough to run into the next page:
///   0 - 1 - 2 - 3 - 4      0 - 1 - 2 - 5      0 - 6 - 7      0 - 8
inline TokenTree bushy_tree(std::span<const TokenId> t) {
    TokenTree tree;
    (void)tree.add(0, t[0]);
    for (uint32_t node = 0; node < 4; ++node) (void)tree.add(node, t[node + 1]);
    (void)tree.add(2, t[5]);
    (void)tree.add(0, t[6]);
    (void)tree.add(6, t[7]);
    (void)tree.add(0, t[8]);
    return tree;
}

/// The logits after the tokens of every node, from a session that steps one by one from `before` on.
inline std::vector<std::vector<float>> logits_along(Session& session, std::span<const TokenId> before,
                                                    const TokenTree& tree) {
    std::vector<std::vector<float>> rows(tree.tokens.size());
    for (const auto& branch : tree.branches()) {
        session.rewind(
            std::min<uint32_t>(static_cast<uint32_t>(before.size()), static_cast<uint32_t>(session.tokens().size())));
        ATLAS_CHECK(session.sync(before).has_value(), "sync");
        for (const uint32_t node : branch) {
            ATLAS_CHECK(session.step(tree.tokens[node]).has_value(), "step");
            rows[node].assign(session.logits().begin(), session.logits().end());
        }
    }
    return rows;
}

/// At the end of a page, in the middle of one, and across its end; other timelines' tokens do not change, and the
/// kept branch continues as the session does.
inline void expect_tree_as_linear(StepRunner& runner, Session& session, uint32_t n_vocab) {
    const std::vector<TokenId> text = tiny_tokens(80, n_vocab, 11);
    for (const uint32_t from : {kPageTokens, 20u, kPageTokens - 2}) {
        const std::vector<TokenId> before(text.begin(), text.begin() + from);
        const TokenTree tree = bushy_tree(std::span(text).subspan(from));
        ASSERT_EQ(tree.n_columns(), 14u);
        ASSERT_LE(tree.n_columns(), kBatchInvariantWidth);
        const auto expected = logits_along(session, before, tree);

        Timeline timeline(runner.pool());
        for (uint32_t at = 0; at < from; at += session.n_batch()) {
            (void)run_tokens(runner, timeline,
                             {before.begin() + at, before.begin() + std::min(from, at + session.n_batch())});
        }
        const uint32_t in_use = runner.pool().n_in_use();
        {
            auto checked = check_tree(runner, timeline, tree);
            ASSERT_TRUE(checked.has_value()) << checked.error().message;
            for (uint32_t node = 0; node < tree.tokens.size(); ++node) {
                const auto row = checked->logits(node);
                ASSERT_TRUE(std::equal(row.begin(), row.end(), expected[node].begin(), expected[node].end()))
                    << "node " << node << " after " << from;
            }
            EXPECT_EQ(timeline.tokens(), before) << "a check changes nothing";
        }
        EXPECT_EQ(runner.pool().n_in_use(), in_use) << "the branches' pages are free again";

        // The device chooses greedily, so that the chosen token is the largest logit of the row. Then the path is
        // kept and continued.
        const ChoiceParams greedy = sample_params({.temperature = 0}, 0, false, false);
        const std::vector<ChoiceParams> choices(tree.tokens.size(), greedy);
        auto checked = check_tree(runner, timeline, tree, choices);
        ASSERT_TRUE(checked.has_value()) << checked.error().message;
        for (uint32_t node = 0; node < tree.tokens.size(); ++node) {
            const auto best = std::max_element(expected[node].begin(), expected[node].end()) - expected[node].begin();
            EXPECT_EQ(checked->chosen(node).value(), TokenId(best)) << "node " << node;
        }
        checked->keep(5, timeline);
        std::vector<TokenId> kept = before;
        for (const uint32_t node : {0u, 1u, 2u, 5u}) kept.push_back(tree.tokens[node]);
        ASSERT_EQ(timeline.tokens(), kept);
        session.rewind(from);
        ASSERT_TRUE(session.sync(before).has_value());
        for (const uint32_t node : {0u, 1u, 2u, 5u}) ASSERT_TRUE(session.step(tree.tokens[node]).has_value());
        ASSERT_TRUE(session.step(text[70]).has_value());
        const auto next = run_tokens(runner, timeline, {text[70]});
        EXPECT_TRUE(std::equal(next.begin(), next.end(), session.logits().begin()))
            << "after the branch kept of " << from;
        session.rewind(0);
    }
}

}  // namespace atlas::testing
