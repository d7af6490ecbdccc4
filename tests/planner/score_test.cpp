// Points of models from what is published of them.
#include "runtime/planner/score.h"

#include <gtest/gtest.h>

#include "runtime/planner/catalogue.h"

namespace atlas {
namespace {

PublishedScore maker(const char* benchmark, double score) { return {benchmark, score, true, {}, {}, {}}; }
PublishedScore other(const char* benchmark, double score) { return {benchmark, score, false, {}, {}, {}}; }

constexpr auto kSwe = "SWE-bench Verified", kLive = "LiveCodeBench v6", kPolyglot = "aider polyglot";

CatalogueModel of(std::vector<PublishedScore> published, double parameters = 1e9) {
    CatalogueModel model;
    model.shape.parameters = static_cast<uint64_t>(parameters);
    model.published = std::move(published);
    return model;
}

double points(const Scores& scores, const CatalogueModel& model) { return scores.of(model, Purpose::coding).points; }

TEST(Scores, ThirdPartiesCountBeforeMakersAndTheirMedian) {
    const Scores scores(Catalogue{});
    const Score makers = scores.of(of({maker(kSwe, 60)}), Purpose::coding);
    EXPECT_EQ(makers.points, 60 - kMakersDiscount);
    EXPECT_FALSE(makers.estimated);
    EXPECT_NE(makers.from.find("60.0, its maker's"), std::string::npos) << makers.from;
    EXPECT_EQ(points(scores, of({maker(kSwe, 60), other(kSwe, 40)})), 40);
    EXPECT_EQ(points(scores, of({other(kSwe, 40), maker(kSwe, 60), other(kSwe, 50), other(kSwe, 48)})), 48);
    EXPECT_EQ(points(scores, of({other(kSwe, 40), other(kSwe, 50)})), 45);
    EXPECT_EQ(points(scores, of({other(kLive, 90), other(kSwe, 50)})), 50) << "the scale's own benchmark counts first";
    EXPECT_EQ(points(scores, of({maker(kSwe, 2)})), 0);
}

TEST(Scores, OtherBenchmarksAreCarriedOverByTheMedianRatio) {
    Catalogue catalogue;
    catalogue.models = {of({other(kSwe, 40), other(kLive, 80)}), of({other(kSwe, 60), other(kLive, 60)}),
                        of({other(kSwe, 63), other(kLive, 70)}), of({other(kSwe, 30), other(kPolyglot, 60)})};
    const Scores scores(catalogue);
    const Score carried = scores.of(of({maker(kLive, 75)}), Purpose::coding);
    EXPECT_DOUBLE_EQ(carried.points, (75 - kMakersDiscount) * 0.9);
    EXPECT_TRUE(carried.estimated);
    EXPECT_DOUBLE_EQ(points(scores, of({other(kPolyglot, 40), other("another", 99)})), 20);
    EXPECT_DOUBLE_EQ(points(scores, of({other(kPolyglot, 40), other(kLive, 50)})), 45);
}

TEST(Scores, OlderListsAreCarriedOverFromModelsThatHaveBoth) {
    Catalogue catalogue;
    CatalogueModel bridge = of({other(kSwe, 20)});
    bridge.coding = QualityFigure{80, "aider code editing", ""};
    bridge.humaneval = QualityFigure{90, "HumanEval", ""};
    CatalogueModel old = of({});
    old.coding = QualityFigure{40, "aider code editing", ""};
    old.humaneval = QualityFigure{50, "HumanEval", ""};
    catalogue.models = {bridge, old};
    const Scores scores(catalogue);
    EXPECT_EQ(points(scores, old), 10);
    old.coding.reset();
    old.humaneval->score = 70;  // between 50 and 90: 60 on the list of code editing
    EXPECT_DOUBLE_EQ(points(scores, old), 15);
}

TEST(Scores, WithoutAFigureTheSizeCountsLessFivePoints) {
    Catalogue catalogue;
    catalogue.models = {of({other(kSwe, 20)}, 1e9), of({other(kSwe, 60)}, 1e11)};
    const Scores scores(catalogue);
    const Score score = scores.of(of({}, 1e10), Purpose::coding);
    EXPECT_NEAR(score.points, 35, 1e-9);
    EXPECT_TRUE(score.estimated);
    EXPECT_TRUE(score.benchmark.empty());
}

// What the built-in catalogue holds: a model of 2024 does not come before those of today.
TEST(Scores, OfTheCatalogueRankGenerationsAsTheirBenchmarksDo) {
    const Catalogue catalogue = load_catalogue({}).value();
    const Scores scores(catalogue);
    const auto by_name = [&](const char* name) { return points(scores, *catalogue.find_model(name).value()); };
    EXPECT_EQ(by_name("qwen3.6-35b-a3b"), 70.12) << "NVIDIA's, not Qwen's 73.4";
    EXPECT_GT(by_name("qwen3.6-27b"), by_name("qwen3.5-27b"));
    EXPECT_GT(by_name("qwen3.5-9b"), by_name("qwen2.5-coder-32b") + 20);
    EXPECT_GT(by_name("qwen2.5-coder-32b"), by_name("qwen2.5-coder-7b"));
    EXPECT_GT(by_name("qwen2.5-coder-7b"), by_name("codellama-34b-instruct"));
    EXPECT_GT(by_name("devstral-small-2"), by_name("devstral-small-2507"));
    for (const CatalogueModel& model : catalogue.models) {
        for (const PublishedScore& one : model.published)
            EXPECT_TRUE(one.source.starts_with("https://") && !one.date.empty()) << model.shape.id;
    }
}

}  // namespace
}  // namespace atlas
