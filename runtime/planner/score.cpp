#include "runtime/planner/score.h"

#include <algorithm>
#include <cmath>

namespace atlas {

namespace {

constexpr auto kBenchmarks =
    std::to_array<std::string_view>({"SWE-bench Verified", "LiveCodeBench v6", "aider polyglot"});
constexpr double kPenaltyOfEstimates = 5;

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct Figure {
    double score = 0;  // as it counts
    double as_published = 0;
    bool by_maker = false;
};

std::optional<Figure> figure_of(const CatalogueModel& model, std::string_view benchmark) {
    std::vector<double> makers, others;
    for (const PublishedScore& one : model.published)
        if (one.benchmark == benchmark) (one.by_maker ? makers : others).push_back(one.score);
    if (!others.empty()) return Figure{median(others), median(others), false};
    if (makers.empty()) return std::nullopt;
    const double score = median(makers);
    return Figure{std::max(0.0, score - kMakersDiscount), score, true};
}

double clamped(double points) { return std::clamp(points, 0.0, 100.0); }

}  // namespace

double Scores::Line::at(double x) const {
    const double spread = n_ * sxx_ - sx_ * sx_;
    if (n_ < 2 || spread == 0) return n_ == 0 ? 50 : sy_ / n_;
    const double slope = (n_ * sxy_ - sx_ * sy_) / spread;
    return (sy_ - slope * sx_) / n_ + slope * x;
}

Scores::Scores(const Catalogue& catalogue) {
    for (size_t i = 1; i < kBenchmarks.size(); ++i) {
        std::vector<double> ratios;
        for (const CatalogueModel& model : catalogue.models) {
            const auto points = figure_of(model, kBenchmarks[0]), figure = figure_of(model, kBenchmarks[i]);
            if (points && figure && figure->score > 0) ratios.push_back(points->score / figure->score);
        }
        if (!ratios.empty()) to_points_[i] = median(ratios);
    }
    std::vector<double> ratios;
    for (const CatalogueModel& model : catalogue.models) {
        if (model.coding && model.humaneval) editing_of_humaneval_.add(model.humaneval->score, model.coding->score);
        if (!model.coding || model.coding->score == 0 || model.published.empty()) continue;
        if (const auto points = coding(model)) ratios.push_back(points->points / model.coding->score);
    }
    if (!ratios.empty()) editing_to_points_ = median(ratios);
    for (const Purpose purpose : {Purpose::coding, Purpose::chat}) {
        for (const CatalogueModel& model : catalogue.models) {
            if (const auto score = published(model, purpose))
                by_size_[static_cast<size_t>(purpose)].add(std::log(double(model.shape.parameters)), score->points);
        }
    }
}

std::optional<Score> Scores::coding(const CatalogueModel& model) const {
    for (size_t i = 0; i < kBenchmarks.size(); ++i) {
        const auto figure = figure_of(model, kBenchmarks[i]);
        if (!figure) continue;
        Score score{clamped(figure->score * to_points_[i]), i > 0, std::string(kBenchmarks[i]), {}};
        if (figure->by_maker)
            score.from = fmt::format("{:.1f}, its maker's figure", figure->as_published);
        else if (i > 0)
            score.from = fmt::format("{:.1f}", figure->as_published);
        return score;
    }
    const auto carried = [&](double editing, const QualityFigure& from) {
        return Score{clamped(editing * editing_to_points_), true, from.benchmark, fmt::format("{:.1f}", from.score)};
    };
    if (model.coding) return carried(model.coding->score, *model.coding);
    if (model.humaneval) return carried(clamped(editing_of_humaneval_.at(model.humaneval->score)), *model.humaneval);
    return std::nullopt;
}

std::optional<Score> Scores::published(const CatalogueModel& model, Purpose purpose) const {
    if (purpose == Purpose::coding) return coding(model);
    if (!model.chat) return std::nullopt;
    return Score{model.chat->score, false, model.chat->benchmark, {}};
}

Score Scores::of(const CatalogueModel& model, Purpose purpose) const {
    if (const auto score = published(model, purpose)) return *score;
    const double by_size = by_size_[static_cast<size_t>(purpose)].at(std::log(double(model.shape.parameters)));
    return {clamped(by_size - kPenaltyOfEstimates), true, {}, {}};
}

}  // namespace atlas
