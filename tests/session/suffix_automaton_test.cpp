// The automaton against a search through the whole text.
#include "runtime/session/speculation/suffix_automaton.h"

#include <gtest/gtest.h>

#include <random>

namespace atlas {
namespace {

uint32_t longest_by_search(const std::vector<uint32_t>& text) {
    const size_t n = text.size();
    uint32_t best = 0;
    for (size_t end = 1; end < n; ++end) {  // an earlier place that ends before `end`
        uint32_t length = 0;
        while (length < end && text[end - 1 - length] == text[n - 1 - length]) ++length;
        best = std::max(best, length);
    }
    return best;
}

TEST(SuffixAutomaton, FindsTheLongestEarlierEnd) {
    std::mt19937 random(1);
    for (const uint32_t alphabet : {1u, 2u, 3u, 10u, 1000u}) {
        for (int round = 0; round < 6; ++round) {
            SuffixAutomaton automaton;
            std::vector<uint32_t> text;
            for (int i = 0; i < 150; ++i) {
                // Now and then repeats a piece of the text.
                if (random() % 20 == 0 && text.size() > 10) {
                    const size_t from = random() % (text.size() - 8);
                    for (size_t k = 0; k < 8; ++k) {
                        text.push_back(text[from + k]);
                        automaton.append(text.back());
                    }
                }
                text.push_back(static_cast<uint32_t>(random() % alphabet));
                automaton.append(text.back());
                const auto& match = automaton.match();
                ASSERT_EQ(match.length, longest_by_search(text)) << "after " << text.size() << " of " << alphabet;
                if (match.length == 0) continue;
                ASSERT_LT(match.next, text.size());
                for (uint32_t k = 0; k < match.length; ++k)
                    ASSERT_EQ(text[match.next - 1 - k], text[text.size() - 1 - k]);
            }
        }
    }
}

TEST(SuffixAutomaton, PrefersALatePlace) {
    SuffixAutomaton automaton;
    for (const uint32_t token : {1u, 2u, 3u, 9u, 1u, 2u, 4u, 9u, 8u, 1u, 2u}) automaton.append(token);
    EXPECT_EQ(automaton.match().length, 2u);
    EXPECT_EQ(automaton.match().next, 6u);
}

}  // namespace
}  // namespace atlas
