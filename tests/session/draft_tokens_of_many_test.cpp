// The draft tokens of many sequences in the same steps.
#include <gtest/gtest.h>

#include "runtime/ops/dry_ops.h"
#include "runtime/session/speculation/draft_length.h"

namespace atlas {
namespace {

using Counts = std::vector<uint32_t>;

std::array<double, kEvidenceClasses> priors() {
    std::array<double, kEvidenceClasses> of_class;
    of_class.fill(0.5);
    of_class[0] = 0.95;
    of_class[1] = 0.02;
    return of_class;
}

Proposal draft_tokens(uint32_t n, uint8_t evidence) {
    return {std::vector<uint32_t>(n, 3), std::vector<uint8_t>(n, evidence)};
}

/// Steps cost 10 ms and 1 ms for every column.
double cost(uint32_t n_columns) { return 10.0 + n_columns; }

DraftLength measured(uint32_t n_sequences) {
    DraftLength length(priors(), std::nullopt);
    for (int i = 0; i < 20; ++i) length.step_took(n_sequences, n_sequences, n_sequences, cost(n_sequences));
    return length;
}

TEST(DraftTokensOfMany, NothingIsProposedBeforeAStepWasMeasured) {
    const DraftLength length(priors(), std::nullopt);
    const std::vector<Proposal> two = {draft_tokens(5, 0), draft_tokens(5, 0)};
    EXPECT_EQ(length.counts(two, 22), (Counts{0, 0}));
    EXPECT_EQ(length.rounds(2, 2, 22, 1), 0u);
}

TEST(DraftTokensOfMany, LikelyDraftTokensGoFirstAndHopelessOnesDoNotGo) {
    DraftLength length = measured(3);
    length.step_took(3, 6, 6, cost(6));  // steps of up to twice that are tried
    const std::vector<Proposal> three = {draft_tokens(6, 1), draft_tokens(4, 0), draft_tokens(0, 0)};
    const Counts counts = length.counts(three, 8);
    EXPECT_EQ(counts[0], 0u);
    EXPECT_EQ(counts[1], 4u);
    EXPECT_EQ(counts[2], 0u);
}

TEST(DraftTokensOfMany, NeverMoreThanThereIsRoomFor) {
    DraftLength length = measured(20);
    length.fix_width(kBatchInvariantWidth);
    const std::vector<Proposal> many(20, draft_tokens(9, 0));
    uint32_t sum = 0;
    for (const uint32_t n : length.counts(many, 100)) sum += n;
    EXPECT_EQ(sum, kBatchInvariantWidth - 20);
    sum = 0;
    for (const uint32_t n : length.counts(many, 2)) sum += n;
    EXPECT_EQ(sum, 2u);
    EXPECT_EQ(DraftLength(priors()).counts(std::vector<Proposal>(30, draft_tokens(9, 0)), 5), Counts(30, 0))
        << "more sequences than columns";
}

TEST(DraftTokensOfMany, RejectedDraftTokensCostOnePercentAtMost) {
    DraftLength length = measured(4);
    const std::vector<Proposal> four(4, draft_tokens(3, 0));
    double spent = 20 * cost(4), needed = 20 * cost(4);
    uint32_t n_blocks = 0;
    for (int step = 0; step < 2000; ++step) {
        uint32_t n = 0;
        for (const uint32_t c : length.counts(four, 20)) n += c;
        n_blocks += n > 0 ? 1 : 0;
        length.step_took(4, 4 + n, 4, cost(4 + n));
        if (n > 0) length.draft_was(0, false);
        spent += cost(4 + n);
        needed += cost(4);
    }
    EXPECT_GT(n_blocks, 0u);
    EXPECT_LT(spent, needed * 1.03);
}

TEST(DraftTokensOfMany, ADraftRunsWhereItPays) {
    const DraftLength length = measured(4);
    EXPECT_GT(length.rounds(4, 4, 20, 0.1), 0u);
    EXPECT_EQ(length.rounds(4, 4, 20, 50), 0u) << "drafting is slower than the model itself";
    EXPECT_EQ(length.rounds(4, 0, 20, 0.1), 0u);
    EXPECT_LE(length.rounds(4, 4, 7, 0.1), 1u);
}

}  // namespace
}  // namespace atlas
